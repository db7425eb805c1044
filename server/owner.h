/* The server as the owner of its secret sees it: the same log with what is encrypted for him opened (store/log_opened.h), and views of their own over it, in a folder of
 * their own. Whoever may not see it is answered by the other server, whose log, views and caches have never held anything that was decrypted. */
#ifndef SERVER_OWNER_H
#define SERVER_OWNER_H

#include "server/api.h"

struct http;
struct ws;
struct owner;

/* Over `base`, which has its keys, flume and settings and outlives it; its views stand in the folder `private` in that of the base's. Views of another owner that are left
 * there are removed. */
int owner_open(struct server *base, const char *views_path, struct owner **ret_owner);
/* Without requests under way; before the flume of `base` is closed. The secret is wiped. NULL is fine. */
void owner_close(struct owner *owner);

struct server *owner_server(struct owner *owner);

/* As wake.h has it, for the owner's streams; NULL is fine. */
void owner_attach(struct owner *owner, struct http *http, struct ws *ws);
void owner_detach(struct owner *owner);

/* Removes the owner's views from the folder of the others: without a secret nothing of them is to be kept. */
int owner_forget(const char *views_path);

#endif
