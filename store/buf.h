/* A growable byte buffer with a hard maximum, so that nothing a user sends can make it grow without end.
 *
 * The first failure (out of memory, over the maximum) sticks in `err`: writers may append without looking and
 * check once at the end. Not thread-safe. */
#ifndef STORE_BUF_H
#define STORE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that somebody else owns; not terminated. */
struct slice {
    const char *data;
    size_t len;
};

#define SLICE_LITERAL(text) ((struct slice){ (text), sizeof(text) - 1 })

struct buf {
    char *data; /* not terminated; NULL while nothing was appended */
    size_t len;
    size_t cap;
    size_t max; /* bytes; an append past it is ERR_LIMIT */
    int err;    /* OK or the first failure */
    bool lent;  /* `data` is somebody else's: see buf_lend */
};

void buf_init(struct buf *buf, size_t max);
/* Empty, over `cap` bytes at `data` that the caller keeps and that must stay until buf_free. What does not fit moves to memory of
 * the buffer's own, all of it (`lent` is false from then on); the caller then finds nothing of use at `data`. */
void buf_lend(struct buf *buf, char *data, size_t cap, size_t max);
void buf_free(struct buf *buf);  /* NULL is fine; the struct may be used again after buf_init */
void buf_reset(struct buf *buf); /* empty, memory kept, `err` cleared */

int buf_reserve(struct buf *buf, size_t extra);
int buf_append(struct buf *buf, const void *data, size_t len);
int buf_putc(struct buf *buf, char c);
int buf_puts(struct buf *buf, const char *text);
int buf_printf(struct buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int buf_put_int(struct buf *buf, int64_t n); /* decimal, without going through printf */

/* `text` as a JSON string with its quotes. A lone surrogate in three bytes (as json_unescape gives it) becomes \udxxx, other bytes
 * that are not valid UTF-8 become U+FFFD. */
int buf_put_json(struct buf *buf, const char *text, size_t len);

#endif
