/* What was found out about encrypted records of one log: the text of those that could be opened, and which could not. Opened once, read often: a trial costs as much as
 * showing a hundred records.
 *
 * Texts are kept in a file without a name in a folder of the caller's, so that memory does not grow with them and nothing of them stays when the process
 * ends. They stay where they are until opened_free. Any thread. */
#ifndef STORE_OPENED_H
#define STORE_OPENED_H

#include <stdint.h>

#include "store/buf.h"

struct opened;

/* The folder must be there. ERR_IO, ERR_NOSPACE … */
int opened_new(const char *folder, struct opened **ret_opened);
void opened_free(struct opened *opened); /* NULL is fine */

enum opened_state { OPENED_UNKNOWN, OPENED_NOT, OPENED_YES };

/* OPENED_YES: and its text. That a record cannot be opened may be forgotten again. */
enum opened_state opened_look(struct opened *opened, int64_t seq, struct slice *ret_text);

void opened_note_not(struct opened *opened, int64_t seq);

/* Keeps a copy of the text, which is answered; if another thread was first, that one's. ERR_NOSPACE, ERR_IO, ERR_NOMEM. */
int opened_keep(struct opened *opened, int64_t seq, struct slice text, struct slice *ret_text);

#endif
