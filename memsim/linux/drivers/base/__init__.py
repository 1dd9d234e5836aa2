"""``drivers/base``: memory blocks, the unit that sysfs switches on and off."""
