#include "store/blob_box.h"

#include <sodium.h>
#include <stdbool.h>
#include <string.h>

#include "store/err.h"
#include "store/file.h"

#define HEADER_PLAIN ((size_t)2 + crypto_secretbox_MACBYTES)
#define HEADER_BYTES (HEADER_PLAIN + crypto_secretbox_MACBYTES)

static void nonce_of(uint64_t number, uint8_t nonce[crypto_secretbox_NONCEBYTES])
{
    memset(nonce, 0, crypto_secretbox_NONCEBYTES);
    for (size_t i = 0; i < 8; i++)
        nonce[crypto_secretbox_NONCEBYTES - 1 - i] = (uint8_t)(number >> (8 * i));
}

/* The header of the next packet: 1 and the length of its body, 0 = the end. */
static int header_read(struct blob_box *box, size_t *ret_len)
{
    uint8_t boxed[HEADER_BYTES], plain[HEADER_PLAIN], nonce[crypto_secretbox_NONCEBYTES];
    size_t got;
    int err = file_read(box->fd, "a private blob", boxed, sizeof boxed, box->file_at, &got);
    if (err != OK) return err;
    if (got < sizeof boxed) return err_set(ERR_CORRUPT, "the private blob breaks off");
    nonce_of(2 * box->number, nonce);
    if (crypto_secretbox_open_easy(plain, boxed, sizeof boxed, nonce, box->key) != 0)
        return box->number == 0 ? err_set(ERR_INVALID, "unbox: the key does not open this blob")
                                : err_set(ERR_CORRUPT, "the private blob is damaged");
    if (sodium_is_zero(plain, sizeof plain)) return 0;
    *ret_len = (size_t)plain[0] << 8 | plain[1];
    if (*ret_len == 0) return err_set(ERR_CORRUPT, "the private blob holds a packet without a body");
    memcpy(box->mac, plain + 2, sizeof box->mac);
    return 1;
}

static void packet_pass(struct blob_box *box, size_t len)
{
    box->start = box->next;
    box->next += (int64_t)len;
    box->file_at += (int64_t)(HEADER_BYTES + len);
    box->number++;
}

static void box_rewind(struct blob_box *box)
{
    box->number = 0;
    box->start = box->next = box->file_at = 0;
}

int blob_box_open(int fd, const uint8_t key[BLOB_BOX_KEY_BYTES], const atomic_bool *stop, struct blob_box *ret_box)
{
    size_t len;
    int got;
    memset(ret_box, 0, offsetof(struct blob_box, plain));
    ret_box->fd = fd;
    memcpy(ret_box->key, key, BLOB_BOX_KEY_BYTES);
    while ((got = header_read(ret_box, &len)) == 1) {
        packet_pass(ret_box, len);
        if (stop != NULL && atomic_load(stop)) return err_set(ERR_CLOSED, "the blob was not wanted any more");
    }
    ret_box->length = ret_box->next;
    box_rewind(ret_box);
    return got;
}

/* Reads and opens the body of `len` bytes behind the header that was read. */
static int body_read(struct blob_box *box, size_t len)
{
    uint8_t boxed[BLOB_BOX_PACKET_MAX], nonce[crypto_secretbox_NONCEBYTES];
    size_t got;
    int err = file_read(box->fd, "a private blob", boxed, len, box->file_at + (int64_t)HEADER_BYTES, &got);
    if (err != OK) return err;
    if (got < len) return err_set(ERR_CORRUPT, "the private blob breaks off");
    nonce_of(2 * box->number + 1, nonce);
    if (crypto_secretbox_open_detached(box->plain, boxed, box->mac, len, nonce, box->key) != 0)
        return err_set(ERR_CORRUPT, "the private blob is damaged");
    return OK;
}

/* Reads on to the packet that holds `at`: 1, 0 = it is behind the end. */
static int packet_seek(struct blob_box *box, int64_t at)
{
    if (at < box->start) box_rewind(box);
    while (at >= box->next) {
        size_t len;
        int got = header_read(box, &len);
        if (got == 0) box_rewind(box); /* bodies that were passed over were not read */
        if (got != 1) return got;
        bool wanted = at < box->next + (int64_t)len;
        got = wanted ? body_read(box, len) : OK;
        if (got != OK) return got;
        packet_pass(box, len);
    }
    return 1;
}

int blob_box_read(struct blob_box *box, int64_t at, void *data, size_t max, size_t *ret_len)
{
    *ret_len = 0;
    int got = packet_seek(box, at);
    if (got != 1) return got;
    size_t there = (size_t)(box->next - at);
    if (there > max) there = max;
    memcpy(data, box->plain + (at - box->start), there);
    *ret_len = there;
    return OK;
}
