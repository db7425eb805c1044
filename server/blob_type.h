/* What a blob is, by its first bytes. Blobs come from anybody: nothing that a browser could run is called what it is. */
#ifndef SERVER_BLOB_TYPE_H
#define SERVER_BLOB_TYPE_H

#include <stdbool.h>
#include <stddef.h>

#define BLOB_TYPE_LOOK 4096 /* bytes that are looked at */

struct blob_type {
    const char *type;
    bool save; /* a browser that opens it by itself is to save it; as an image in a page it is shown all the same */
};

/* `whole`: the bytes are all there are. */
struct blob_type blob_type_of(const char *data, size_t len, bool whole);

#endif
