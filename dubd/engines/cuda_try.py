"""Whether PyTorch can use a GPU here, as a process of its own: `python -m dubd.engines.cuda_try`.

CUDA cannot be let go of by the process that began it, and a broken driver may kill that one.
"""

from __future__ import annotations

import torch


def main() -> None:
    """Put one number on the first card and say what PyTorch is; SystemExit, or PyTorch's own error, where it cannot."""
    if torch.version.cuda is None:
        raise SystemExit(f"torch {torch.__version__} is built without CUDA")
    torch.zeros(1, device="cuda")
    print(f"torch {torch.__version__} with CUDA {torch.version.cuda} on {torch.cuda.get_device_name()}")


if __name__ == "__main__":
    main()
