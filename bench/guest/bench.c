#include "bench.h"

#define LINE_LENGTH 128

struct line {
    char text[LINE_LENGTH];
    word length;
};

static void append(struct line *line, const char *text)
{
    while (*text && line->length < LINE_LENGTH)
        line->text[line->length++] = *text++;
}

static void append_hexadecimal(struct line *line, __u64 value)
{
    char digits[2] = "";
    int shift = 60;
    while (shift && !(value >> shift))
        shift -= 4;
    for (; shift >= 0; shift -= 4) {
        digits[0] = "0123456789abcdef"[value >> shift & 15];
        append(line, digits);
    }
}

/* One system call for each line: the host's time stamp is that of the line's end. */
static void write_line(struct line *line)
{
    append(line, "\n");
    sys_write(STANDARD_OUTPUT, line->text, line->length);
}

void bench_begin(const char *name)
{
    struct line line = { .length = 0 };
    append(&line, "BENCH-BEGIN ");
    append(&line, name);
    write_line(&line);
}

void bench_end(const char *name, __u64 checksum)
{
    struct line line = { .length = 0 };
    append(&line, "BENCH-END ");
    append(&line, name);
    append(&line, " ");
    append_hexadecimal(&line, checksum);
    write_line(&line);
}

static void __attribute__((noreturn)) fail_with(const char *what, const char *subject)
{
    struct line line = { .length = 0 };
    append(&line, "bench: ");
    append(&line, what);
    append(&line, subject);
    write_line(&line);
    sys_exit(1);
}

long bench_checked(long result, const char *what)
{
    if (result < 0)
        fail_with("the kernel refuses ", what);
    return result;
}

/* Called by fail() of system.h: there is no terminal to put back here. */
void terminal_restore(void) {}

static word parse_amount(const char *text)
{
    word value = 0;
    const char *next = text;
    while (*next >= '0' && *next <= '9')
        value = value * 10 + (*next++ - '0');
    if (*next || !value)
        fail_with("not an amount of work: ", text);
    return value;
}

int program_main(int count, char **arguments)
{
    if (count != 3)
        fail_with("usage: PROGRAM BENCHMARK AMOUNT", "");
    for (const struct benchmark *benchmark = benchmarks; benchmark->name; benchmark++) {
        if (!text_equal(benchmark->name, arguments[1]))
            continue;
        benchmark->run(benchmark->name, parse_amount(arguments[2]));
        return 0;
    }
    fail_with("this program has no benchmark ", arguments[1]);
}
