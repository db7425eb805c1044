/* A server without sockets: a log of its own in a temporary folder, the built-in views, and requests that are handed to the handlers as the HTTP side
 * would. What must not happen ends the process with a text. */
#ifndef TESTS_SUPPORT_API_KIT_H
#define TESTS_SUPPORT_API_KIT_H

#include "server/api.h"
#include "tests/support/flume_kit.h"

struct api_kit {
    char *dir;
    struct config config;
    struct server server;
    struct flume *flume;
    bool accept_any;
};

/* accept_any: any JSON value can be appended. */
void api_kit_open(struct api_kit *kit, bool accept_any);
void api_kit_close(struct api_kit *kit);
void api_kit_reopen(struct api_kit *kit);

/* What a request is made of; NULL = absent. */
struct api_ask {
    enum api_method method;
    const char *target;
    const char *accept, *prefer, *content_type, *if_none_match, *last_event_id;
    const char *body;
    bool public_only;
    bool may_private, may_publish;
};

/* An answer as text: a stream is pulled until it has nothing more now. */
struct api_told {
    int status;
    char *body; /* terminated */
    struct api_reply reply;
};

void api_kit_ask(struct api_kit *kit, const struct api_ask *ask, struct api_told *ret_told);
void api_kit_get(struct api_kit *kit, const char *target, struct api_told *ret_told);
void api_told_free(struct api_told *told);
const char *api_told_header(const struct api_told *told, const char *name); /* NULL = absent */

/* POST /log of a JSON value or message; answers the seq. */
int64_t api_kit_post(struct api_kit *kit, const char *value);

/* The author's next message as a value, signed; content is JSON. The caller frees. */
char *api_kit_message(struct kit_author *author, const char *content);

#endif
