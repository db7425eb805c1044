#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "server/ws_frame.h"
#include "store/err.h"

static void put_frame(struct buf *out, size_t len)
{
    size_t mark;
    char *payload = malloc(len + 1);
    memset(payload, 'x', len);
    cr_assert_eq(ws_frame_begin(out, &mark), OK);
    cr_assert_eq(buf_append(out, payload, len), OK);
    cr_assert_eq(ws_frame_end(out, mark), OK);
    free(payload);
}

/* Reads the head of RFC 6455 at `at`: where the payload starts, and how long it is. */
static size_t read_head(const struct buf *out, size_t at, size_t *ret_len)
{
    const unsigned char *head = (const unsigned char *)out->data + at;
    cr_assert_eq(head[0], 0x81, "a whole text");
    size_t bytes = head[1] < 126 ? 0 : head[1] == 126 ? 2 : 8, len = bytes == 0 ? head[1] : 0;
    for (size_t i = 0; i < bytes; i++)
        len = len << 8 | head[2 + i];
    *ret_len = len;
    return at + 2 + bytes;
}

Test(ws_frame, heads_tell_the_length_at_every_border)
{
    static const size_t lens[] = { 0, 1, 125, 126, 127, 65535, 65536, 70000, 3 };
    struct buf out;
    buf_init(&out, 1 << 20);
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++)
        put_frame(&out, lens[i]);
    size_t at = 0, len;
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        at = read_head(&out, at, &len);
        cr_assert_eq(len, lens[i]);
        for (size_t k = 0; k < len; k++)
            cr_assert_eq(out.data[at + k], 'x');
        at += len;
    }
    cr_expect_eq(at, out.len);
    buf_free(&out);
}

Test(ws_frame, a_dropped_frame_leaves_nothing)
{
    struct buf out;
    size_t mark;
    buf_init(&out, 64);
    put_frame(&out, 5);
    size_t before = out.len;
    cr_assert_eq(ws_frame_begin(&out, &mark), OK);
    cr_assert_eq(buf_append(&out, "0123456789", 10), OK);
    char more[64] = { 0 };
    cr_assert_eq(buf_append(&out, more, sizeof more), ERR_LIMIT);
    ws_frame_drop(&out, mark);
    cr_expect_eq(out.len, before);
    cr_expect_eq(out.err, OK);
    buf_free(&out);
}
