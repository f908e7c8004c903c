/*
 * Runs single floating-point instructions on the host processor. Standard input holds batches: a header with the code
 * bytes and a record count, then that many records. Each record is a complete machine state: it is loaded with FXRSTOR,
 * the instruction runs with RSI pointing at the record's memory operand, and the state is stored back with FXSAVE.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

struct header {
  uint32_t length;
  uint32_t count;
  uint8_t code[24];
};

struct record {
  uint8_t image[512]; /* FXSAVE image */
  uint8_t memory[128]; /* memory operand */
  uint64_t rax;
  uint64_t rflags; /* out: flags; in: bit 0 and the like for FCMOVcc */
  uint64_t trapped; /* out: 1 where the instruction raised SIGFPE */
  uint64_t reserved;
} __attribute__((aligned(16)));

static sigjmp_buf escape;
static struct record *current;

static void on_fault(int number, siginfo_t *info, void *context) {
  ucontext_t *machine = context;
  (void)number;
  (void)info;
  memcpy(current->image, machine->uc_mcontext.fpregs, 512);
  current->trapped = 1;
  siglongjmp(escape, 1);
}

/* void stub(struct record *rdi) */
static const uint8_t prologue[] = {
    0x48, 0x0f, 0xae, 0x0f,                         /* fxrstor64 [rdi] */
    0x48, 0x8d, 0xb7, 0x00, 0x02, 0x00, 0x00,       /* lea rsi, [rdi + 512] */
    0x48, 0x8b, 0x87, 0x80, 0x02, 0x00, 0x00,       /* mov rax, [rdi + 640] */
    0xff, 0xb7, 0x88, 0x02, 0x00, 0x00,             /* push [rdi + 648] */
    0x9d,                                           /* popfq */
};
static const uint8_t epilogue[] = {
    0x9c,                                           /* pushfq */
    0x8f, 0x87, 0x88, 0x02, 0x00, 0x00,             /* pop [rdi + 648] */
    0x48, 0x89, 0x87, 0x80, 0x02, 0x00, 0x00,       /* mov [rdi + 640], rax */
    0x48, 0x0f, 0xae, 0x07,                         /* fxsave64 [rdi] */
    0xfc,                                           /* cld */
    0xdb, 0xe3,                                     /* fninit */
    0xc3,
};

int main(void) {
  static char outputBuffer[1 << 20];
  uint8_t *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
  uint32_t mxcsr = 0x1f80;
  struct header header;
  if (code == MAP_FAILED) return 2;
  sigaction(SIGFPE, &action, NULL);
  setvbuf(stdout, outputBuffer, _IOFBF, sizeof outputBuffer);
  while (fread(&header, sizeof header, 1, stdin) == 1) {
    struct record *records = aligned_alloc(64, (sizeof(struct record) * header.count + 63) & ~63ul);
    if (header.length > sizeof header.code) return 3;
    if (fread(records, sizeof *records, header.count, stdin) != header.count) return 4;
    memcpy(code, prologue, sizeof prologue);
    memcpy(code + sizeof prologue, header.code, header.length);
    memcpy(code + sizeof prologue + header.length, epilogue, sizeof epilogue);
    for (volatile uint32_t i = 0; i < header.count; i++) {
      current = &records[i];
      current->trapped = 0;
      if (sigsetjmp(escape, 0) == 0) ((void (*)(struct record *))code)(current);
      __asm__ volatile("fninit; ldmxcsr %0" : : "m"(mxcsr));
    }
    fwrite(records, sizeof *records, header.count, stdout);
    fflush(stdout);
    free(records);
  }
  return 0;
}
