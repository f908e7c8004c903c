#ifndef TESTUDO_BOOT_H
#define TESTUDO_BOOT_H

/*
 * Loads a Linux bzImage and an initial RAM disk into the machine's memory and points the processor at the kernel's
 * 64-bit entry (Linux Documentation/arch/x86/boot.rst, "64-bit Boot Protocol"). Ends the program with a message where
 * the files are unusable or do not fit.
 */
void boot_linux(const char *kernel_path, const char *initrd_path, const char *command_line);

#endif
