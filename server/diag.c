#include "server/diag.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048

/* One write(2) a line, so that lines of several threads do not mix. */
__attribute__((format(printf, 3, 0))) static void diag_write(const char *level, const char *event, const char *fmt,
                                                             va_list args)
{
    struct timespec now;
    struct tm utc;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &utc);
    char line[LINE_MAX_BYTES];
    size_t len = strftime(line, sizeof line, "time=%Y-%m-%dT%H:%M:%S", &utc);
    len += (size_t)snprintf(line + len, sizeof line - len, ".%03dZ level=%s event=%.64s ", (int)(now.tv_nsec / 1000000),
                            level, event);
    int rest = vsnprintf(line + len, sizeof line - len, fmt, args);
    if (rest > 0) len += (size_t)rest;
    if (len > sizeof line - 1) len = sizeof line - 1;
    for (size_t i = 0; i < len; i++) {
        if (line[i] == '\n') line[i] = ' ';
    }
    line[len++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, len);
    (void)ignored;
}

void diag_info(const char *event, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    diag_write("info", event, fmt, args);
    va_end(args);
}

void diag_warn(const char *event, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    diag_write("warn", event, fmt, args);
    va_end(args);
}

void diag_error(const char *event, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    diag_write("error", event, fmt, args);
    va_end(args);
}

/* The escaped form of one byte into `out` (at most 4); answers its length. Bytes above ASCII are escaped too: some of them
 * are control characters to a terminal. */
static size_t escape(unsigned char c, char out[5])
{
    static const char hex[] = "0123456789abcdef";
    const char *const named = "n\nt\tr\r\"\"\\\\";
    for (const char *pair = named; *pair != '\0'; pair += 2) {
        if ((unsigned char)pair[1] != c) continue;
        out[0] = '\\';
        out[1] = pair[0];
        return 2;
    }
    if (c >= 0x20 && c < 0x7f) {
        out[0] = (char)c;
        return 1;
    }
    out[0] = '\\';
    out[1] = 'x';
    out[2] = hex[c >> 4];
    out[3] = hex[c & 15];
    return 4;
}

const char *diag_quote(const char *text, char out[DIAG_QUOTE_MAX])
{
    static const char more[] = "...";
    size_t len = 0;
    out[len++] = '"';
    for (; *text != '\0'; text++) {
        char piece[5];
        size_t size = escape((unsigned char)*text, piece);
        /* room for the dots, the quote and the terminator stays free */
        if (len + size + sizeof more + 1 > DIAG_QUOTE_MAX) {
            memcpy(out + len, more, sizeof more - 1);
            len += sizeof more - 1;
            break;
        }
        memcpy(out + len, piece, size);
        len += size;
    }
    out[len++] = '"';
    out[len] = '\0';
    return out;
}
