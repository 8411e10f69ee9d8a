"""`python -m dubd` is `dubd`."""

from dubd.cli.main import main

main()
