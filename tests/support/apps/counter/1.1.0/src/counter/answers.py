PATHS = ("/", "/double")
HEALTHY = True
