/* Private blobs, as npm pull-box-stream 1.0.13 writes them with a nonce of zeros ("&id?unbox=KEY.boxs"): packets of a boxed header (length of
 * the body, u16 BE, and its MAC) and a boxed body, with nonces that count up from 0; a header of zeros ends it. Read from a file
 * at any place, without all of it in memory. One thread at a time. */
#ifndef STORE_BLOB_BOX_H
#define STORE_BLOB_BOX_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define BLOB_BOX_KEY_BYTES 32
#define BLOB_BOX_PACKET_MAX 65535

struct blob_box {
    int fd; /* the caller's */
    uint8_t key[BLOB_BOX_KEY_BYTES];
    int64_t length; /* of all that is boxed */

    /* the packet that was read last */
    uint64_t number; /* of the one behind it */
    int64_t start, next,
        file_at; /* its first byte, the one behind its last, and where the next header stands in the file */
    uint8_t mac[16], plain[BLOB_BOX_PACKET_MAX];
};

/* Goes through all headers, so that the length is known and the key is right. ERR_INVALID: the key does not open it; ERR_CORRUPT: it breaks off;
 * ERR_CLOSED: *stop became true (NULL = never). */
int blob_box_open(int fd, const uint8_t key[BLOB_BOX_KEY_BYTES], const atomic_bool *stop, struct blob_box *ret_box);

/* Some bytes from `at` on: *ret_len is 0 only at the end. ERR_CORRUPT: a body that does not fit its header. */
int blob_box_read(struct blob_box *box, int64_t at, void *data, size_t max, size_t *ret_len);

#endif
