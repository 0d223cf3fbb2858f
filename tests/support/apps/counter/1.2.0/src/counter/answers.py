PATHS = ("/", "/double")
HEALTHY = False
