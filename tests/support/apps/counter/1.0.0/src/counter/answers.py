PATHS = ("/",)
HEALTHY = True
