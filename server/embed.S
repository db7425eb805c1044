/* Files that are part of the program: NAME and NAME_len (declared in embed.h), each followed by a zero byte. */
#define EMBED(name, path)        \
    .global name                ;\
    .balign 16                  ;\
name:                           ;\
    .incbin path                ;\
name##_end:                     ;\
    .byte 0                     ;\
    .global name##_len          ;\
    .balign 8                   ;\
name##_len:                     ;\
    .quad name##_end - name

    .section .rodata
EMBED(embed_index_html, "server/web/index.html")
EMBED(embed_openapi_yaml, "api-spec/openapi.yaml")
EMBED(embed_asyncapi_yaml, "api-spec/asyncapi.yaml")
#define WEB_FILE(name, kind, symbol, path) EMBED(embed_web_##symbol, path)
#include "server/web.def"

    .section .note.GNU-stack, "", %progbits
