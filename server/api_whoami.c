#include <string.h>

#include "server/api_record.h"
#include "server/text.h"
#include "store/keys.h"

/* The scopes that the client has, by whatever it has them: a token, or where it came from. */
static void put_scopes(const struct api_request *req, struct buf *out)
{
    bool reads = !req->public_only || req->server->config->public_read;
    const struct {
        const char *name;
        bool has;
    } scopes[] = { { "read", reads },
                   { "append", req->may_append },
                   { "private", req->may_private },
                   { "publish", req->may_publish } };
    size_t count = 0;
    for (size_t i = 0; i < sizeof scopes / sizeof *scopes; i++)
        if (scopes[i].has) (void)buf_printf(out, "%s\"%s\"", count++ > 0 ? "," : "", scopes[i].name);
}

/* Nothing of the log, and nothing of its owner, is told to somebody without a scope; who the owner is only to those who may speak for
 * him or read his letters. */
int api_whoami(struct api_request *req, struct api_reply *reply)
{
    static const char *const names[] = { "ids", NULL };
    const struct server *server = api_server_base(req->server);
    const struct config *config = server->config;
    struct buf *out = &reply->body;
    if (!api_query_only(req, reply, names)) return API_DONE;
    bool known = !req->public_only || config->public_read || req->may_append || req->may_publish;
    bool close = req->may_private || req->may_publish;
    (void)api_header_add(reply, "Cache-Control", "no-store");
    (void)buf_puts(out, "{\"id\":");
    if (close && server->keys != NULL)
        text_put_ref(out, &server->keys->id);
    else
        (void)buf_puts(out, "null");
    (void)buf_puts(out, ",\"scopes\":[");
    put_scopes(req, out);
    (void)buf_printf(out, "],\"encrypted\":%s,\"append\":%s,\"publish\":%s", req->public_only ? "false" : "true",
                     req->may_append && server->owned ? "true" : "false",
                     req->may_publish && config->publish ? "true" : "false");
    if (known)
        (void)buf_printf(out, ",\"log\":{\"followed\":%s,\"accept\":\"%s\"}}", server->owned ? "false" : "true",
                         config->accept != NULL && strcmp(config->accept, "any") == 0 ? "any" : "ssb");
    else
        (void)buf_puts(out, ",\"log\":null}");
    return api_json(reply);
}
