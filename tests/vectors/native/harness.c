/*
 * Runs short user-mode instruction sequences on the host's own processor and reports what they did.
 *
 * Requests are read from standard input and responses written to standard output, both in the binary form of the two
 * structures below (little-endian, the host being x86-64). The program lives entirely inside its signal handler: each
 * case is entered by rt_sigreturn from a frame that was filled with the case's state, and left by a signal, either the
 * #BP of the INT3 bytes that fill the rest of the code page, or the fault the case was made to raise. The kernel thus
 * saves and restores every register (GPRs, RFLAGS, the FXSAVE image, CS for compatibility mode), at one signal a case.
 *
 * There is no C library: FS and GS bases belong to the cases. The program is linked far above 4 GiB, so that below
 * 4 GiB nothing is mapped but the data window and the code page, and a seccomp filter turns any system call made
 * from there into SIGSYS.
 */
#define _GNU_SOURCE
#include <emmintrin.h>
#include <asm/prctl.h>
#include <elf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>

/* Everything is addressed relative to RIP, far above what absolute 32-bit relocations reach. */
#pragma GCC visibility push(hidden)

/* These addresses and sizes are the ones of case.ts. */
#define DATA_BASE 0x10000000UL
#define DATA_SIZE 8192
#define CODE_BASE 0x20000000UL
#define CODE_SIZE 4096
#define CODE_MAXIMUM 64
#define FXSAVE_SIZE 512

#define INT3 0xcc
#define VECTOR_BREAKPOINT 3
#define VECTOR_PAGE_FAULT 14

/* Selectors of Linux's GDT as user mode sees them. */
#define USER_CODE_64 0x33
#define USER_CODE_32 0x23
#define USER_DATA 0x2b

/* RFLAGS bits a case may choose: CF PF AF ZF SF TF DF OF AC through the signal frame, NT and ID through POPF. */
#define RFLAGS_FRAME 0x40dd5UL
#define RFLAGS_POPF 0x204000UL
#define RFLAGS_FIXED 0x202UL
#define RFLAGS_RF 0x10000UL

/* FXSAVE area, SDM vol. 1 table 10-2. */
#define FX_MXCSR 24
#define FX_MXCSR_MASK 28
#define FX_ST0 32
#define FX_RESERVED 416
#define FX_SOFTWARE 464
#define MXCSR_VALID 0xffffU
/* XSAVE header directly behind it (SDM vol. 1 section 13.4.2): XSTATE_BV with x87 and SSE only. */
#define XSTATE_X87_SSE 3UL
#define FP_XSTATE_MAGIC1 0x46505853U

#define TICK_MICROSECONDS 10000
#define HWCAP2_FSGSBASE 2

enum status { STATUS_STOPPED, STATUS_EXCEPTION, STATUS_TIMEOUT, STATUS_SYSTEM_CALL, STATUS_REJECTED };
enum mode { MODE_64, MODE_32 };

struct span {
  uint16_t offset, length; /* followed by the bytes */
};

struct request {
  uint32_t length; /* of the whole record with its spans */
  uint8_t mode, code_length;
  uint16_t span_count;
  uint64_t rip, gpr[16], rflags, fs_base, gs_base;
  uint8_t fx[FXSAVE_SIZE], code[CODE_MAXIMUM];
};

struct response {
  uint32_t length;
  uint8_t status, signal, vector, reserved;
  uint16_t span_count, reserved2;
  uint32_t error_code;
  uint64_t cr2, rip, gpr[16], rflags, fs_base, gs_base;
  uint8_t fx[FXSAVE_SIZE];
};

_Static_assert(sizeof(struct request) == 744, "known to native.ts");
_Static_assert(sizeof(struct response) == 696, "known to native.ts");

/* The kernel's view of struct sigaction. */
struct kernel_sigaction {
  void *handler;
  unsigned long flags;
  void *restorer;
  uint64_t mask;
};
#define SA_RESTORER_FLAG 0x04000000UL

#define INPUT_SIZE (1 << 20)
#define OUTPUT_SIZE (1 << 20)
/* Changed bytes that alternate with unchanged ones cost a five-byte span for every two bytes of the window. */
#define RESPONSE_MAXIMUM (sizeof(struct response) + DATA_SIZE / 2 * 5 + 8)

static uint8_t input[INPUT_SIZE] __attribute__((aligned(64)));
static uint8_t output[OUTPUT_SIZE] __attribute__((aligned(64)));
static uint8_t background[DATA_SIZE] __attribute__((aligned(64)));
static uint8_t expected[DATA_SIZE] __attribute__((aligned(64)));
static uint8_t alternate_stack[1 << 16] __attribute__((aligned(64)));
static size_t input_start, input_end, output_end;
static uint8_t *const window = (uint8_t *)DATA_BASE;
static uint8_t *code_alias;
static struct request *current;

/* Read and written by the assembly below. */
uint64_t observed_fs_base, observed_gs_base, next_fs_base, next_gs_base, next_popf_flags, next_selector;
uint64_t case_number, case_at_last_tick;
/* Whether RDFSBASE and its kin work; without them the bases cost four system calls a case. */
uint64_t has_fsgsbase;

__attribute__((used)) void handle(int signal_number, siginfo_t *information, ucontext_t *context);
extern void signal_entry(void), tick_entry(void), signal_restorer(void);

__asm__(
    ".text\n"
    ".globl signal_entry, tick_entry, signal_restorer, _start\n"
    /* A tick of the virtual timer: the second one within the same case means it loops. NT and ID would not survive a
       POPF here, as the frame does not hold them, so only flags the frame restores are touched before the decision. */
    "tick_entry:\n"
    "  mov case_number(%rip), %rax\n"
    "  cmp case_at_last_tick(%rip), %rax\n"
    "  je signal_entry\n"
    "  mov %rax, case_at_last_tick(%rip)\n"
    "  add $8, %rsp\n"
    "  jmp 1f\n"
    /* A case ended. AC would make the handler itself fault, so the flags start clean. */
    "signal_entry:\n"
    "  pushq $0x202\n"
    "  popfq\n"
    "  cmpb $0, has_fsgsbase(%rip)\n"
    "  je 2f\n"
    "  rdfsbase %rax\n"
    "  mov %rax, observed_fs_base(%rip)\n"
    "  rdgsbase %rax\n"
    "  mov %rax, observed_gs_base(%rip)\n"
    "2:\n"
    "  sub $8, %rsp\n"
    "  call handle\n"
    "  add $8, %rsp\n"
    "  mov $0x2b, %eax\n"
    "  mov %eax, %ds\n"
    "  mov %eax, %es\n"
    "  mov next_selector(%rip), %eax\n"
    "  mov %eax, %fs\n"
    "  mov %eax, %gs\n"
    "  cmpb $0, has_fsgsbase(%rip)\n"
    "  jne 3f\n"
    "  call set_bases\n"
    "  jmp 4f\n"
    "3:\n"
    "  mov next_fs_base(%rip), %rax\n"
    "  wrfsbase %rax\n"
    "  mov next_gs_base(%rip), %rax\n"
    "  wrgsbase %rax\n"
    "4:\n"
    "  add $8, %rsp\n"
    "  pushq next_popf_flags(%rip)\n"
    "  popfq\n"
    "1:\n"
    "signal_restorer:\n"
    "  mov $15, %eax\n" /* rt_sigreturn */
    "  syscall\n"
    "  hlt\n"
    "_start:\n"
    "  mov %rsp, %rdi\n"
    "  and $-16, %rsp\n"
    "  call start\n"
    "  int3\n" /* the first signal starts the first case */
    "  hlt\n");

static long system_call(long number, long a, long b, long c, long d, long e, long f) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

void *memcpy(void *to, const void *from, size_t size) {
  void *result = to;
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
  return result;
}

void *memset(void *to, int value, size_t size) {
  void *result = to;
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
  return result;
}

static size_t text_length(const char *text) {
  size_t length = 0;
  while (text[length]) length++;
  return length;
}

static void __attribute__((noreturn)) leave(int status) {
  for (;;) system_call(SYS_exit_group, status, 0, 0, 0, 0, 0);
}

static void __attribute__((noreturn)) fail(const char *message) {
  system_call(SYS_write, 2, (long)message, text_length(message), 0, 0, 0);
  system_call(SYS_write, 2, (long)"\n", 1, 0, 0, 0);
  leave(1);
}

static void flush(void) {
  size_t done = 0;
  while (done < output_end) {
    long count = system_call(SYS_write, 1, (long)(output + done), output_end - done, 0, 0, 0);
    if (count == -4 /* EINTR */) continue;
    if (count <= 0) leave(1);
    done += count;
  }
  output_end = 0;
}

/* Makes `size` bytes of input available at input_start; 0 at a clean end of input. */
static int fill(size_t size) {
  if (input_end - input_start >= size) return 1;
  if (input_start) {
    /* Forward copy, and the destination lies below the source. */
    memcpy(input, input + input_start, input_end - input_start);
    input_end -= input_start;
    input_start = 0;
  }
  flush();
  while (input_end < size) {
    long count = system_call(SYS_read, 0, (long)(input + input_end), INPUT_SIZE - input_end, 0, 0, 0);
    if (count == -4) continue;
    if (count < 0) fail("harness: cannot read standard input");
    if (count == 0) {
      if (input_end) fail("harness: standard input ends within a request");
      return 0;
    }
    input_end += count;
  }
  return 1;
}

static struct request *next_request(void) {
  if (!fill(8)) return 0;
  uint32_t length = ((struct request *)(input + input_start))->length;
  if (length < sizeof(struct request) || length > INPUT_SIZE / 2 || length % 8) fail("harness: malformed request");
  if (!fill(length)) return 0;
  struct request *request = (struct request *)(input + input_start);
  input_start += length;
  return request;
}

/* Appends the bytes in which the window differs from what the case was given, as spans. */
static void report_changes(struct response *response) {
  uint8_t *out = (uint8_t *)(response + 1);
  struct span *span = 0;
  for (unsigned block = 0; block < DATA_SIZE; block += 16) {
    __m128i equal = _mm_cmpeq_epi8(_mm_load_si128((__m128i *)(window + block)),
                                   _mm_load_si128((__m128i *)(expected + block)));
    unsigned changed = ~_mm_movemask_epi8(equal) & 0xffff;
    for (; changed; changed &= changed - 1) {
      unsigned offset = block + __builtin_ctz(changed);
      if (!span || span->offset + span->length != offset) {
        span = (struct span *)out;
        span->offset = offset;
        span->length = 0;
        out += sizeof(struct span);
        response->span_count++;
      }
      *out++ = window[offset];
      span->length++;
    }
  }
  while ((out - (uint8_t *)response) % 8) *out++ = 0;
  response->length = out - (uint8_t *)response;
}

static struct response *begin_response(uint8_t status) {
  if (output_end + RESPONSE_MAXIMUM > OUTPUT_SIZE) flush();
  struct response *response = (struct response *)(output + output_end);
  memset(response, 0, sizeof *response);
  response->status = status;
  response->length = sizeof *response;
  return response;
}

static const int GPR_IN_FRAME[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                     REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static void record(int signal_number, ucontext_t *context) {
  greg_t *frame = context->uc_mcontext.gregs;
  uint8_t vector = (uint8_t)frame[REG_TRAPNO];
  uint8_t status = signal_number == SIGVTALRM                                          ? STATUS_TIMEOUT
                   : signal_number == SIGSYS                                           ? STATUS_SYSTEM_CALL
                   : signal_number == SIGTRAP && vector == VECTOR_BREAKPOINT            ? STATUS_STOPPED
                                                                                        : STATUS_EXCEPTION;
  struct response *response = begin_response(status);
  response->signal = signal_number;
  response->rip = frame[REG_RIP];
  if (status == STATUS_STOPPED) response->rip--;
  if (status == STATUS_EXCEPTION) {
    response->vector = vector;
    /* The kernel keeps the previous fault's error code for exceptions that have none (SDM vol. 3A table 6-1). */
    int has_error_code = vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
    if (has_error_code) response->error_code = frame[REG_ERR];
    if (vector == VECTOR_PAGE_FAULT) response->cr2 = frame[REG_CR2];
  }
  for (int i = 0; i < 16; i++) response->gpr[i] = frame[GPR_IN_FRAME[i]];
  response->rflags = frame[REG_EFL] & ~RFLAGS_RF;
  response->fs_base = observed_fs_base;
  response->gs_base = observed_gs_base;
  uint8_t *fx = (uint8_t *)context->uc_mcontext.fpregs;
  memcpy(response->fx, fx, FX_RESERVED);
  memset(response->fx + FX_MXCSR_MASK, 0, 4);
  for (int i = 0; i < 8; i++) memset(response->fx + FX_ST0 + 16 * i + 10, 0, 6);
  report_changes(response);
  output_end += response->length;
}

/* Undoes the previous case's changes to the window and the code page. */
static void clean_up(void) {
  for (unsigned block = 0; block < DATA_SIZE; block += 16) {
    __m128i original = _mm_load_si128((__m128i *)(background + block));
    __m128i equal = _mm_and_si128(_mm_cmpeq_epi8(_mm_load_si128((__m128i *)(window + block)), original),
                                  _mm_cmpeq_epi8(_mm_load_si128((__m128i *)(expected + block)), original));
    if (_mm_movemask_epi8(equal) == 0xffff) continue;
    _mm_store_si128((__m128i *)(window + block), original);
    _mm_store_si128((__m128i *)(expected + block), original);
  }
  memset(code_alias + (current->rip - CODE_BASE), INT3, current->code_length);
}

static int acceptable(struct request *request) {
  uint32_t mxcsr;
  memcpy(&mxcsr, request->fx + FX_MXCSR, 4);
  if (mxcsr & ~MXCSR_VALID) return 0; /* the kernel would refuse the frame */
  if (request->mode > MODE_32 || request->code_length > CODE_MAXIMUM) return 0;
  if (request->rip < CODE_BASE || request->rip + request->code_length > CODE_BASE + CODE_SIZE) return 0;
  /* Bases must be canonical user addresses: WRFSBASE in the handler would fault otherwise. */
  if (request->fs_base >> 47 || request->gs_base >> 47) return 0;
  uint8_t *at = (uint8_t *)(request + 1), *end = (uint8_t *)request + request->length;
  for (unsigned i = 0; i < request->span_count; i++) {
    struct span *span = (struct span *)at;
    if (at + sizeof *span > end || at + sizeof *span + span->length > end) return 0;
    if (span->offset + span->length > DATA_SIZE) return 0;
    at += sizeof *span + span->length;
  }
  return 1;
}

static void enter(struct request *request, ucontext_t *context) {
  greg_t *frame = context->uc_mcontext.gregs;
  memcpy(code_alias + (request->rip - CODE_BASE), request->code, request->code_length);
  uint8_t *at = (uint8_t *)(request + 1);
  for (unsigned i = 0; i < request->span_count; i++) {
    struct span *span = (struct span *)at;
    memcpy(window + span->offset, at + sizeof *span, span->length);
    memcpy(expected + span->offset, at + sizeof *span, span->length);
    at += sizeof *span + span->length;
  }
  for (int i = 0; i < 16; i++) frame[GPR_IN_FRAME[i]] = request->gpr[i];
  frame[REG_RIP] = request->rip;
  frame[REG_EFL] = (request->rflags & RFLAGS_FRAME) | RFLAGS_FIXED;
  uint16_t *selectors = (uint16_t *)&frame[REG_CSGSFS]; /* CS, GS, FS, SS */
  selectors[0] = request->mode == MODE_32 ? USER_CODE_32 : USER_CODE_64;
  selectors[3] = USER_DATA;
  uint8_t *fx = (uint8_t *)context->uc_mcontext.fpregs;
  memcpy(fx, request->fx, FX_RESERVED);
  uint32_t magic;
  memcpy(&magic, fx + FX_SOFTWARE, 4);
  if (magic == FP_XSTATE_MAGIC1) *(uint64_t *)(fx + FXSAVE_SIZE) = XSTATE_X87_SSE;
  /* Compatibility mode: FS and GS are flat like the other segments; 64-bit mode: null selectors and given bases. */
  next_selector = request->mode == MODE_32 ? USER_DATA : 0;
  next_fs_base = request->mode == MODE_32 ? 0 : request->fs_base;
  next_gs_base = request->mode == MODE_32 ? 0 : request->gs_base;
  next_popf_flags = (request->rflags & RFLAGS_POPF) | RFLAGS_FIXED;
}

/* FS and GS bases through the kernel, where the instructions are not enabled. */
__attribute__((used)) void set_bases(void) {
  system_call(SYS_arch_prctl, ARCH_SET_FS, next_fs_base, 0, 0, 0, 0);
  system_call(SYS_arch_prctl, ARCH_SET_GS, next_gs_base, 0, 0, 0, 0);
}

void handle(int signal_number, siginfo_t *information, ucontext_t *context) {
  (void)information;
  if (!has_fsgsbase) {
    system_call(SYS_arch_prctl, ARCH_GET_FS, (long)&observed_fs_base, 0, 0, 0, 0);
    system_call(SYS_arch_prctl, ARCH_GET_GS, (long)&observed_gs_base, 0, 0, 0, 0);
  }
  case_number++;
  if (current) {
    record(signal_number, context);
    clean_up();
  }
  for (;;) {
    current = next_request();
    if (!current) {
      flush();
      leave(0);
    }
    if (acceptable(current)) break;
    output_end += begin_response(STATUS_REJECTED)->length;
  }
  enter(current, context);
}

static void *map(unsigned long address, size_t size, int protection, int flags, int descriptor) {
  long result = system_call(SYS_mmap, address, size, protection, flags | MAP_POPULATE, descriptor, 0);
  if (result < 0 && result > -4096) fail("harness: cannot map the fixed addresses");
  return (void *)result;
}

static void set_handler(int signal_number, void (*entry)(void)) {
  struct kernel_sigaction action = {(void *)entry, SA_SIGINFO | SA_ONSTACK | SA_RESTORER_FLAG,
                                    (void *)signal_restorer, ~0UL};
  if (system_call(SYS_rt_sigaction, signal_number, (long)&action, 0, 8, 0, 0)) fail("harness: rt_sigaction failed");
}

/* System calls from below 4 GiB, that is from a case, become SIGSYS. */
static void confine(void) {
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
  if (system_call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0) ||
      system_call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, (long)&program, 0, 0, 0))
    fail("harness: the kernel offers no seccomp filter");
}

__attribute__((used)) void start(uint64_t *stack) {
  uint64_t *at = stack + 1 + stack[0] + 1;
  while (*at) at++;
  uint64_t features = 0;
  for (Elf64_auxv_t *entry = (Elf64_auxv_t *)(at + 1); entry->a_type != AT_NULL; entry++)
    if (entry->a_type == AT_HWCAP2) features = entry->a_un.a_val;
  has_fsgsbase = (features & HWCAP2_FSGSBASE) != 0;

  int anonymous = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
  map(DATA_BASE, DATA_SIZE, PROT_READ | PROT_WRITE, anonymous, -1);
  long descriptor = system_call(SYS_memfd_create, (long)"code", 0, 0, 0, 0, 0);
  if (descriptor < 0 || system_call(SYS_ftruncate, descriptor, CODE_SIZE, 0, 0, 0, 0)) fail("harness: no memfd");
  /* Cases may not write their code page; the harness writes it through a second mapping. */
  code_alias = map(0, CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor);
  map(CODE_BASE, CODE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED_NOREPLACE, descriptor);
  memset(code_alias, INT3, CODE_SIZE);

  /* The stream begins with the window's contents. */
  if (!fill(DATA_SIZE)) leave(0);
  memcpy(background, input, DATA_SIZE);
  memcpy(expected, input, DATA_SIZE);
  memcpy(window, input, DATA_SIZE);
  input_start = DATA_SIZE;

  stack_t alternate = {.ss_sp = alternate_stack, .ss_size = sizeof alternate_stack};
  if (system_call(SYS_sigaltstack, (long)&alternate, 0, 0, 0, 0, 0)) fail("harness: sigaltstack failed");
  const int signals[] = {SIGTRAP, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS};
  for (unsigned i = 0; i < sizeof signals / sizeof signals[0]; i++) set_handler(signals[i], signal_entry);
  set_handler(SIGVTALRM, tick_entry);
  confine();
  /* Virtual time: only time spent running cases counts, whatever else the host is doing. */
  struct itimerval interval = {{0, TICK_MICROSECONDS}, {0, TICK_MICROSECONDS}};
  if (system_call(SYS_setitimer, ITIMER_VIRTUAL, (long)&interval, 0, 0, 0, 0)) fail("harness: setitimer failed");
}
