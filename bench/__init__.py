"""How fast Celeriac is: `python -m bench [--quick] [NAME ...]`, one module per benchmark. See `bench.__main__`."""
