/* Keys of the view "names": view_names.c writes them, names.c reads them. */
#ifndef VIEWS_NAME_KEY_H
#define VIEWS_NAME_KEY_H

#include "views/view_names.h"

enum { NAMES_KEYS };

/* The name from a word on, NUL, 0 if that is its first word or 1, the feed: its kind and its 32 bytes. */
#define NAME_KEY_MAX (NAME_KEY_BYTES + 3 + 32)

size_t name_key(const struct folded_name *name, size_t part, const struct ref *feed, uint8_t key[NAME_KEY_MAX]);
int name_key_read(struct slice key, struct slice *ret_text, bool *ret_first, struct ref *ret_feed);

/* The name from its i-th word on, as far as a key goes. */
struct slice name_part(const struct folded_name *name, size_t part);

/* How one part of a name answers. */
enum name_match name_part_matches(struct slice typed, struct slice part, bool first);

#endif
