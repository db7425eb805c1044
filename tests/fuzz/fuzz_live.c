/* What a WebSocket client says: the target of its handshake (the first line) and its text messages (the lines that follow, an empty
 * one stands for a moment in which frames are taken). Every frame is one JSON object that can be told by its id, is packed as RFC 6455
 * says, and belongs to a subscription that is there. Run with tests/fuzz/corpus/live. */
#include <jansson.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/live.h"
#include "server/live_sub.h"
#include "server/ws_frame.h"
#include "tests/support/stock.h"

#define LINES_MAX 200
#define FRAMES_MAX 20000 /* far more than all subscriptions of a client can be given */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct live *live;

static void must(bool right, const char *what, const struct buf *frame)
{
    if (right) return;
    (void)fprintf(stderr, "fuzz_live: %s: %.*s\n", what, frame == NULL ? 0 : (int)frame->len,
                  frame == NULL ? "" : frame->data);
    abort();
}

/* The payload of the one frame in `packed`. */
static struct slice unpack(const struct buf *packed)
{
    const unsigned char *at = (const unsigned char *)packed->data;
    must(packed->len >= 2 && at[0] == 0x81 && at[1] < 128, "a frame's head", packed);
    size_t head = at[1] < 126 ? 2 : at[1] == 126 ? 4 : 10;
    uint64_t len = at[1] < 126 ? at[1] : 0;
    for (size_t i = 2; i < head; i++)
        len = len << 8 | at[i];
    must(packed->len == head + len, "a frame's length", packed);
    must(head == 2 || len > (head == 4 ? 125U : 65535U), "a length longer than it has to be", packed);
    return (struct slice){ packed->data + head, (size_t)len };
}

static void check_frame(const struct buf *packed)
{
    struct slice text = unpack(packed);
    json_error_t error;
    /* a record is shown as it is: what stands in it may stand twice */
    json_t *frame = json_loadb(text.data, text.len, JSON_ALLOW_NUL, &error);
    must(frame != NULL && json_is_object(frame), "no JSON object", packed);
    must(memchr(text.data, '\n', text.len) == NULL, "a newline", packed);
    bool known = json_object_get(frame, "seq") != NULL || json_object_get(frame, "sync") != NULL ||
                 json_object_get(frame, "closed") != NULL || json_object_get(frame, "error") != NULL ||
                 json_object_get(frame, "row") != NULL;
    must(known, "a frame of no kind", packed);
    json_decref(frame);
}

/* Takes frames until there are none: it ends, because nothing is appended. */
static void take_frames(void)
{
    struct buf out;
    buf_init(&out, (size_t)4 << 20);
    for (int frames = 0;; frames++) {
        size_t mark;
        must(frames < FRAMES_MAX, "frames without end", NULL);
        buf_reset(&out);
        must(ws_frame_begin(&out, &mark) == OK, "memory", NULL);
        int got = live_next(live, &out);
        must(got >= 0, "a frame that cannot be made", NULL);
        if (got == 0) break;
        if (got == LIVE_LATER) continue;
        must(ws_frame_end(&out, mark) == OK, "memory", NULL);
        check_frame(&out);
    }
    buf_free(&out);
}

/* Until nothing wakes it: a list whose GET waits comes back from another thread, once. */
static void take_all(void)
{
    for (int wakes = 0;; wakes++) {
        take_frames();
        if (!live_wake(live)) return;
        must(wakes <= LINES_MAX, "awake without a reason", NULL);
    }
}

static struct slice line_cut(struct slice *rest)
{
    const char *end = rest->len == 0 ? NULL : memchr(rest->data, '\n', rest->len);
    struct slice line = { rest->data, end == NULL ? rest->len : (size_t)(end - rest->data) };
    size_t used = end == NULL ? rest->len : line.len + 1;
    *rest = (struct slice){ rest->data + used, rest->len - used };
    return line;
}

static void say_all(struct stock *stock, struct slice rest)
{
    for (int i = 0; i < LINES_MAX && rest.len > 0; i++) {
        struct slice line = line_cut(&rest);
        if (line.len == 0) {
            take_all();
            continue;
        }
        int err = live_text(live, line.data, line.len);
        must(err == OK || err == ERR_LIMIT, "an operation that cannot be answered", NULL);
        must(live_subscriptions(live) <= (size_t)stock->config.subscriptions_max, "too many subscriptions", NULL);
        if (err != OK) return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stock *stock = stock_open();
    struct slice rest = { (const char *)data, size };
    struct slice target = line_cut(&rest);
    live = NULL;
    int err = live_open(&stock->server, target, size % 2 == 1, NULL, &live);
    must(live != NULL, "no memory for a client", NULL);
    if (err == OK) say_all(stock, rest);
    take_all();
    live_free(live);
    must(atomic_load(&stock->server.metrics.ws_subscriptions) == 0, "a subscription that nobody has is counted", NULL);
    return 0;
}
