"""Floor 1: facts of the kernel's headers (``include/linux``, ``arch/x86/include/asm``)."""
