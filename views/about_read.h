/* What the two files of the view "about" share: view_about.c writes, about_read.c answers. */
#ifndef VIEWS_ABOUT_READ_H
#define VIEWS_ABOUT_READ_H

#include "store/json.h"
#include "views/view_about.h"

/* The table, and the slots of its registers; what they remember stands in view_about.h. */
enum { ABOUT_REGISTERS };
enum { ABOUT_VALUE, ABOUT_FIRST, ABOUT_NEWEST, ABOUT_OWN, ABOUT_SLOTS };

#define ABOUT_REF_BYTES 33
#define ABOUT_KEY_MAX (ABOUT_REF_BYTES + TERM_MAX + ABOUT_REF_BYTES)

/* Key of a register: target, term of the field, assigner. Answers its length. */
size_t about_key(const struct ref *target, struct slice field, const struct ref *assigner, uint8_t key[ABOUT_KEY_MAX]);

/* The term of a member's name. `scratch` is used and emptied. */
int about_field_term(const struct json_member *member, struct buf *scratch, struct term *ret_term);

/* An object with a truthy `remove`. */
bool about_removes(struct slice value);

#endif
