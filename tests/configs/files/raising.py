raise RuntimeError("this plugin is broken\nin two lines")
