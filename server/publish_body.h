/* What is sent to POST /publish: {"content":{…},"recps":["@…",…]}. */
#ifndef SERVER_PUBLISH_BODY_H
#define SERVER_PUBLISH_BODY_H

#include "store/buf.h"

#define PUBLISH_BODY_MAX ((size_t)64 << 10) /* bytes: a message that fits, however it is escaped and indented */

/* Checks it and appends to `out` what becomes the message's content, as compact JSON: the object, or, if there are recipients, the string that only they can
 * open. These stand in "recps" beside the content or, as SSB programs have it, in it (both: the same ones; beside only: they are added to
 * it, so that who answers knows whom to): 1 to 7 feed ids, or {"link": id}.
 * ERR_JSON, ERR_ARG (another shape), ERR_INVALID (content or recipients that no message can have), ERR_LIMIT (of the body), ERR_NOMEM. */
int publish_body_read(struct slice body, struct buf *out);

#endif
