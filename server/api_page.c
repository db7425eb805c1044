#include <stdio.h>
#include <string.h>

#include "server/api_record.h"
#include "server/embed.h"
#include "server/version.h"

/* Part of the program: changes with its version only. */
static int page_answer(struct api_request *req, struct api_reply *reply, const char *type, const char *data, size_t len)
{
    static const char *const names[] = { NULL };
    if (!api_query_only(req, reply, names)) return API_DONE;
    char tag[64];
    int tag_len = snprintf(tag, sizeof tag, "\"" SLUICE_VERSION "-%zu\"", len);
    (void)api_header_add(reply, "ETag", "%s", tag);
    (void)api_header_add(reply, "Cache-Control", "no-cache");
    const struct slice *match = &req->if_none_match;
    if (match->data != NULL && memmem(match->data, match->len, tag, (size_t)tag_len) != NULL) {
        reply->status = 304;
        return API_DONE;
    }
    int err = buf_append(&reply->body, data, len);
    if (err != OK) return api_problem_err(reply, err);
    reply->status = 200;
    reply->content_type = type;
    return API_DONE;
}

int api_page(struct api_request *req, struct api_reply *reply)
{
    (void)api_header_add(reply, "Content-Security-Policy",
                         "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'");
    return page_answer(req, reply, "text/html; charset=utf-8", embed_index_html, embed_index_html_len);
}

int api_openapi(struct api_request *req, struct api_reply *reply)
{
    return page_answer(req, reply, "application/yaml", embed_openapi_yaml, embed_openapi_yaml_len);
}

int api_asyncapi(struct api_request *req, struct api_reply *reply)
{
    return page_answer(req, reply, "application/yaml", embed_asyncapi_yaml, embed_asyncapi_yaml_len);
}
