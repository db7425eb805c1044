/* The framing of muxrpc (npm packet-stream-codec 1.2.0), as a node speaks it: nine bytes, then the body.
 *
 *     flags 1 | length 4, big-endian | number of the call 4, big-endian, signed | body
 *
 * flags: 8 = part of a stream, 4 = its end, or an error; the lowest two bits say what the body is. Answers bear the negative number of the
 * call. A length of 0 says goodbye. Pure; trusts nothing. */
#ifndef SERVER_MUXRPC_H
#define SERVER_MUXRPC_H

#include <stdbool.h>
#include <stdint.h>

#include "store/buf.h"
#include "store/ref.h"

#define MUXRPC_HEAD 9
#define MUXRPC_BODY_MAX ((size_t)256 << 10) /* of a frame that is read; the format itself knows no limit */

enum muxrpc_kind { MUXRPC_BYTES = 0, MUXRPC_TEXT = 1, MUXRPC_JSON = 2 };

struct muxrpc_frame {
    bool stream;
    bool end; /* of a stream; of an answer: it is an error */
    bool goodbye;
    enum muxrpc_kind kind;
    int32_t number;
    struct slice body; /* borrowed from what was read */
};

/* The frame that `data` begins with: 1 and its bytes in ret_used; 0 = it is not all there yet; ERR_LIMIT: its body would be larger than
 * MUXRPC_BODY_MAX (told by the head alone), ERR_FORMAT: no such kind of body. */
int muxrpc_read(struct slice data, struct muxrpc_frame *ret_frame, size_t *ret_used);

/* Appends a frame. A body of no bytes would be a goodbye: ERR_ARG. */
int muxrpc_put(const struct muxrpc_frame *frame, struct buf *out);
int muxrpc_put_goodbye(struct buf *out);

/* Appends {"name":["publish"],"args":[content]}, call `number`; `content` is JSON. */
int muxrpc_put_publish(int32_t number, struct slice content, struct buf *out);

/* What an answer to it says: OK and the new message's id, ERR_INVALID with the node's own words in the detail (it refused), ERR_FORMAT: neither. */
int muxrpc_published(const struct muxrpc_frame *answer, struct ref *ret_id);

#endif
