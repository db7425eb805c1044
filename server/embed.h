/* Files that are part of the program (embed.S): the bytes, followed by a zero byte that the length does not count. */
#ifndef SERVER_EMBED_H
#define SERVER_EMBED_H

#include <stddef.h>

extern const char embed_index_html[]; /* server/web/index.html */
extern const size_t embed_index_html_len;
extern const char embed_openapi_yaml[]; /* api-spec/openapi.yaml */
extern const size_t embed_openapi_yaml_len;
extern const char embed_asyncapi_yaml[]; /* api-spec/asyncapi.yaml */
extern const size_t embed_asyncapi_yaml_len;

#define WEB_FILE(name, kind, symbol, path)  \
    extern const char embed_web_##symbol[]; \
    extern const size_t embed_web_##symbol##_len;
#include "server/web.def" /* the page's files */
#undef WEB_FILE

#endif
