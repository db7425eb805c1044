/* Any bytes from whoever stands where the node should be: frames are read as packet-stream-codec would, none outside what came, each is written again as
 * it was, and the same bytes in pieces give the same frames. Run with tests/fuzz/corpus/muxrpc. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "server/muxrpc.h"
#include "store/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
    if (!good) abort();
}

static void check_frame(const struct muxrpc_frame *frame, struct slice data, size_t used)
{
    struct ref id = { .kind = REF_NONE };
    struct buf again;
    must(used <= data.len && used == MUXRPC_HEAD + frame->body.len);
    must(frame->goodbye == (frame->body.len == 0));
    int err = muxrpc_published(frame, &id);
    must(err == OK || err == ERR_INVALID || err == ERR_FORMAT || err == ERR_NOMEM);
    must((err == OK) == (id.kind == REF_MESSAGE));
    must(err != OK || !frame->end);
    if (frame->goodbye) return;
    buf_init(&again, data.len + MUXRPC_HEAD);
    must(muxrpc_put(frame, &again) == OK && again.len == used);
    /* the four highest bits of the flags say nothing */
    must((again.data[0] & 0x0F) == (data.data[0] & 0x0F));
    must(memcmp(again.data + 1, data.data + 1, used - 1) == 0);
    buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size > 0 ? size : 1); /* so that a byte too far is seen */
    struct slice rest = { copy, size };
    struct muxrpc_frame frame, part;
    size_t used = 0;
    int got;
    if (copy == NULL) return 0;
    if (size > 0) memcpy(copy, data, size);
    while ((got = muxrpc_read(rest, &frame, &used)) == 1) {
        check_frame(&frame, rest, used);
        size_t less = used - 1;
        must(muxrpc_read((struct slice){ rest.data, less }, &part, &less) == 0);
        rest = (struct slice){ rest.data + used, rest.len - used };
        if (frame.goodbye) break;
    }
    must(got == 1 || got == 0 || got == ERR_LIMIT || got == ERR_FORMAT);
    free(copy);
    return 0;
}
