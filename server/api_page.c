#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "server/api_record.h"
#include "server/embed.h"
#include "server/text.h"
#include "store/fnv.h"

struct page_file {
    const char *name, *type, *data;
    const size_t *len;
    _Atomic uint64_t hash; /* of the bytes; 0 = not asked for yet */
};

#define JS "text/javascript; charset=utf-8"
#define CSS "text/css; charset=utf-8"
#define SVG "image/svg+xml"
static struct page_file web_files[] = {
#define WEB_FILE(name, kind, symbol, path) { name, kind, embed_web_##symbol, &embed_web_##symbol##_len, 0 },
#include "server/web.def"
#undef WEB_FILE
};

#define YAML "application/yaml"
static struct page_file page = { "/", "text/html; charset=utf-8", embed_index_html, &embed_index_html_len, 0 };
static struct page_file openapi = { "openapi.yaml", YAML, embed_openapi_yaml, &embed_openapi_yaml_len, 0 };
static struct page_file asyncapi = { "asyncapi.yaml", YAML, embed_asyncapi_yaml, &embed_asyncapi_yaml_len, 0 };

/* Only its own scripts and styles, no other host, no frame, and no text can become markup or script (trusted-types): what
 * messages hold stays text whatever mistake the page should make. `blob:` is for pictures that need a token. */
#define PAGE_POLICY                                                                                               \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self'; "     \
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for " \
    "'script'; "                                                                                                  \
    "trusted-types 'none'"

static uint64_t file_hash(struct page_file *file)
{
    uint64_t hash = atomic_load_explicit(&file->hash, memory_order_relaxed);
    if (hash == 0) {
        hash = fnv_add(FNV_START, file->data, *file->len);
        atomic_store_explicit(&file->hash, hash, memory_order_relaxed);
    }
    return hash;
}

/* NULL = the page has no such file. */
static int file_answer(struct api_request *req, struct api_reply *reply, struct page_file *file)
{
    static const char *const names[] = { NULL };
    if (!api_query_only(req, reply, names)) return API_DONE;
    if (file == NULL)
        return api_problem(reply, "not-found", NULL,
                           "the page has no such file: it is at /, and names those that it has");
    char tag[24];
    int tag_len = snprintf(tag, sizeof tag, "\"%016llx\"", (unsigned long long)file_hash(file));
    (void)api_header_add(reply, "ETag", "%s", tag);
    (void)api_header_add(reply, "Cache-Control", "no-cache");
    const struct slice *match = &req->if_none_match;
    if (match->data != NULL &&
        (text_is(text_trim(*match), "*") || memmem(match->data, match->len, tag, (size_t)tag_len) != NULL)) {
        reply->status = 304;
        return API_DONE;
    }
    int err = buf_append(&reply->body, file->data, *file->len);
    if (err != OK) return api_problem_err(reply, err);
    reply->status = 200;
    reply->content_type = file->type;
    return API_DONE;
}

int api_page(struct api_request *req, struct api_reply *reply)
{
    (void)api_header_add(reply, "Content-Security-Policy", "%s", PAGE_POLICY);
    (void)api_header_add(reply, "Referrer-Policy", "no-referrer");
    return file_answer(req, reply, &page);
}

int api_page_file(struct api_request *req, struct api_reply *reply)
{
    struct page_file *file = NULL;
    for (size_t i = 0; i < sizeof web_files / sizeof *web_files; i++)
        if (text_is(req->path_params[0].value, web_files[i].name)) file = &web_files[i];
    return file_answer(req, reply, file);
}

int api_openapi(struct api_request *req, struct api_reply *reply)
{
    return file_answer(req, reply, &openapi);
}

int api_asyncapi(struct api_request *req, struct api_reply *reply)
{
    return file_answer(req, reply, &asyncapi);
}
