#include "server/access.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/text.h"

#define TOKENS_MAX 1024
#define TOKEN_MIN 16
#define TOKEN_MAX 512

/* Tokens are kept and compared as hashes: all of one length, so that a comparison tells nothing about lengths either.
 * */
struct token {
    unsigned char hash[crypto_generichash_BYTES];
    unsigned scopes;
};

static const struct {
    const char *name;
    unsigned scope;
} scope_names[] = { { "read", API_SCOPE_READ },
                    { "append", API_SCOPE_APPEND },
                    { "private", API_SCOPE_READ | API_SCOPE_PRIVATE },
                    { "publish", API_SCOPE_PUBLISH } };

struct access {
    const struct config *config;
    bool any_address; /* a door is open on all addresses: any address literal is a name of ours */
    struct token *tokens;
    size_t token_count;
};

/* ---- the token file ---- */

static void token_hash(struct slice text, struct token *ret_token)
{
    (void)crypto_generichash(ret_token->hash, sizeof ret_token->hash, (const unsigned char *)text.data, text.len, NULL,
                             0);
}

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Cuts the next word off; false at the end or at a comment. */
static bool word_cut(struct slice *rest, struct slice *ret_word)
{
    size_t at = 0, len = 0;
    while (at < rest->len && blank(rest->data[at]))
        at++;
    while (at + len < rest->len && !blank(rest->data[at + len]))
        len++;
    *ret_word = (struct slice){ rest->data + at, len };
    *rest = (struct slice){ rest->data + at + len, rest->len - at - len };
    return len > 0 && ret_word->data[0] != '#';
}

static unsigned scope_named(struct slice word)
{
    for (size_t i = 0; i < sizeof scope_names / sizeof *scope_names; i++)
        if (text_is(word, scope_names[i].name)) return scope_names[i].scope;
    return 0;
}

/* No word of the line but its number is ever told: any of them may be a token. */
static int token_scopes(const char *path, size_t line_number, struct slice rest, unsigned *ret_scopes)
{
    unsigned scopes = 0;
    struct slice word;
    while (word_cut(&rest, &word)) {
        unsigned scope = scope_named(word);
        if (scope == 0)
            return err_set(
                ERR_ARG,
                "%s:%zu: behind the token its scopes may stand: read, append, private, publish; that is none "
                "of them",
                path, line_number);
        scopes |= scope;
    }
    *ret_scopes = scopes == 0 ? API_SCOPES_BOTH : scopes;
    return OK;
}

static bool token_sound(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] <= ' ' || text.data[i] > '~') return false;
    return text.len >= TOKEN_MIN && text.len <= TOKEN_MAX;
}

static int token_add(struct access *access, const char *path, size_t line_number, struct slice line)
{
    struct token token = { .scopes = 0 };
    struct slice text;
    line = text_trim(line);
    if (!word_cut(&line, &text)) return OK;
    if (!token_sound(text))
        return err_set(ERR_ARG,
                       "%s:%zu: a token has %d to %d characters of ASCII (`openssl rand -hex 32` makes a good one)",
                       path, line_number, TOKEN_MIN, TOKEN_MAX);
    int err = token_scopes(path, line_number, line, &token.scopes);
    if (err != OK) return err;
    token_hash(text, &token);
    for (size_t i = 0; i < access->token_count; i++)
        if (sodium_memcmp(token.hash, access->tokens[i].hash, sizeof token.hash) == 0)
            return err_set(ERR_ARG, "%s:%zu: that token stands there twice", path, line_number);
    if (access->token_count == TOKENS_MAX) return err_set(ERR_LIMIT, "%s: more than %d tokens", path, TOKENS_MAX);
    struct token *tokens = realloc(access->tokens, (access->token_count + 1) * sizeof *tokens);
    if (tokens == NULL) return err_set(ERR_NOMEM, "%s: out of memory", path);
    access->tokens = tokens;
    tokens[access->token_count++] = token;
    return OK;
}

static int tokens_read(struct access *access, const char *path, FILE *file)
{
    char *line = NULL;
    size_t cap = 0;
    int err = OK;
    ssize_t len;
    for (size_t number = 1; err == OK && (len = getline(&line, &cap, file)) >= 0; number++)
        err = token_add(access, path, number, (struct slice){ line, (size_t)len });
    if (err == OK && ferror(file)) err = err_errno(path, "reading tokens");
    if (line != NULL) sodium_memzero(line, cap);
    free(line);
    if (err == OK && access->token_count == 0)
        err =
            err_set(ERR_ARG, "%s: no token in it; it wants one a line (`openssl rand -hex 32` makes a good one)", path);
    return err;
}

static int tokens_load(struct access *access, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return err_errno(path, "opening the token file");
    FILE *file = fdopen(fd, "r");
    if (file == NULL) {
        int err = err_errno(path, "opening the token file");
        (void)close(fd);
        return err;
    }
    int err = OK;
    if (fstat(fd, &st) != 0)
        err = err_errno(path, "opening the token file");
    else if (S_ISREG(st.st_mode) && (st.st_mode & S_IRWXO) != 0)
        err = err_set(ERR_PERM, "%s: everybody can read these tokens: chmod 600 it", path);
    else
        err = tokens_read(access, path, file);
    (void)fclose(file);
    return err;
}

static bool listens_everywhere(const struct config *config)
{
    for (size_t i = 0; i < config->listen_count; i++)
        if (strncmp(config->listen[i], "0.0.0.0:", 8) == 0 || strncmp(config->listen[i], "[::]:", 5) == 0) return true;
    return false;
}

int access_open(const struct config *config, struct access **ret_access)
{
    if (sodium_init() < 0) return err_set(ERR_IO, "libsodium does not start");
    struct access *access = calloc(1, sizeof *access);
    if (access == NULL) return err_set(ERR_NOMEM, "out of memory");
    access->config = config;
    access->any_address = listens_everywhere(config);
    int err = config->token_file != NULL ? tokens_load(access, config->token_file) : OK;
    if (err != OK) {
        access_free(access);
        return err;
    }
    *ret_access = access;
    return OK;
}

void access_free(struct access *access)
{
    if (access == NULL) return;
    free(access->tokens);
    free(access);
}

bool access_names(const struct access *access, unsigned scopes)
{
    for (size_t i = 0; i < access->token_count; i++)
        if ((access->tokens[i].scopes & scopes) == scopes) return true;
    return false;
}

/* 0 = not known. */
static unsigned token_known(const struct access *access, struct slice text)
{
    struct token token;
    unsigned scopes = 0;
    if (text.len > TOKEN_MAX) return 0;
    token_hash(text, &token);
    /* every token is looked at, whichever fits, and without a branch on whether it does */
    for (size_t i = 0; i < access->token_count; i++) {
        unsigned fits = sodium_memcmp(token.hash, access->tokens[i].hash, sizeof token.hash) == 0;
        scopes |= access->tokens[i].scopes & (0U - fits);
    }
    return scopes;
}

/* ---- names of hosts ---- */

static bool port_is(struct slice text)
{
    if (text.len == 0 || text.len > 5) return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < '0' || text.data[i] > '9') return false;
    return true;
}

/* Takes "host:port" apart; [::1] loses its brackets, a name its last dot. false if it is no such thing. */
static bool host_split(struct slice text, struct slice *ret_host, struct slice *ret_port)
{
    struct slice host = text, port = { "", 0 };
    const char *colon = text.len == 0 ? NULL : memrchr(text.data, ':', text.len);
    bool literal = text.len > 0 && text.data[0] == '[';
    if (literal && text.data[text.len - 1] == ']') colon = NULL;
    if (colon != NULL) {
        host.len = (size_t)(colon - text.data);
        port = (struct slice){ colon + 1, text.len - host.len - 1 };
        if (!port_is(port)) return false;
    }
    if (literal) {
        if (host.len < 3 || host.data[host.len - 1] != ']') return false;
        host = (struct slice){ host.data + 1, host.len - 2 };
    } else if (host.len > 1 && host.data[host.len - 1] == '.') {
        host.len--;
    }
    if (host.len == 0 || host.len > 255 || (!literal && memchr(host.data, ':', host.len) != NULL)) return false;
    *ret_host = host;
    *ret_port = port;
    return true;
}

static bool slice_same(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp(a.data, b.data, a.len) == 0);
}

static bool host_address(struct slice host, bool *ret_loopback)
{
    char text[INET6_ADDRSTRLEN];
    struct in_addr v4;
    struct in6_addr v6;
    if (host.len >= sizeof text) return false;
    memcpy(text, host.data, host.len);
    text[host.len] = '\0';
    if (inet_pton(AF_INET, text, &v4) == 1) {
        *ret_loopback = ntohl(v4.s_addr) >> 24 == 127;
        return true;
    }
    if (inet_pton(AF_INET6, text, &v6) != 1) return false;
    *ret_loopback = IN6_IS_ADDR_LOOPBACK(&v6);
    return true;
}

static bool host_listed(char *const *names, size_t count, struct slice host)
{
    for (size_t i = 0; i < count; i++) {
        struct slice name, port;
        if (host_split((struct slice){ names[i], strlen(names[i]) }, &name, &port) && slice_same(name, host))
            return true;
    }
    return false;
}

/* The rule against DNS rebinding: a page of a stranger whose name was pointed at us sends that name. An address
 * literal cannot be pointed anywhere, so with a door on all addresses each of them is ours. */
static bool host_ours(const struct access *access, struct slice field)
{
    const struct config *config = access->config;
    struct slice host, port;
    bool loopback;
    if (!host_split(field, &host, &port)) return false;
    if (text_is_nocase(host, "localhost")) return true;
    if (host_address(host, &loopback) && (loopback || access->any_address)) return true;
    return host_listed(config->listen, config->listen_count, host) ||
           host_listed(config->allow_host, config->allow_host_count, host);
}

/* ---- origins ---- */

static bool origin_listed(const struct config *config, struct slice origin)
{
    for (size_t i = 0; i < config->allow_origin_count; i++) {
        struct slice name = { config->allow_origin[i], strlen(config->allow_origin[i]) };
        if (name.len > 0 && name.data[name.len - 1] == '/') name.len--;
        if (slice_same(name, origin)) return true;
    }
    return false;
}

/* "https://app.example" of "https://app.example/its/page"; pages whose Referer is cut short send its origin alone, with a slash. */
static struct slice referer_origin(struct slice referer)
{
    const char *scheme_end = referer.len == 0 ? NULL : memmem(referer.data, referer.len, "://", 3);
    if (scheme_end == NULL) return (struct slice){ referer.data, 0 };
    size_t len = (size_t)(scheme_end - referer.data) + 3;
    while (len < referer.len && memchr("/?#", referer.data[len], 3) == NULL)
        len++;
    return (struct slice){ referer.data, len };
}

/* "http://host:port" against the Host field "host:port", with the port of the scheme where one is left out. */
static bool origin_same(struct slice origin, struct slice field)
{
    bool https = origin.len > 8 && strncasecmp(origin.data, "https://", 8) == 0;
    if (!https && (origin.len <= 7 || strncasecmp(origin.data, "http://", 7) != 0)) return false;
    size_t scheme = https ? 8 : 7;
    struct slice standard = https ? SLICE_LITERAL("443") : SLICE_LITERAL("80");
    struct slice host, port, our_host, our_port;
    if (field.data == NULL || !host_split((struct slice){ origin.data + scheme, origin.len - scheme }, &host, &port) ||
        !host_split(field, &our_host, &our_port))
        return false;
    if (port.len == 0) port = standard;
    if (our_port.len == 0) our_port = standard;
    return slice_same(host, our_host) && slice_same(port, our_port);
}

/* ---- the check ---- */

static bool bearer_of(const struct access_request *request, struct slice *ret_token)
{
    static const char prefix[] = "bearer.";
    struct slice field = request->authorization, rest = request->protocols;
    if (field.len >= 7 && strncasecmp(field.data, "Bearer ", 7) == 0) {
        *ret_token = text_trim((struct slice){ field.data + 7, field.len - 7 });
        return true;
    }
    while (field.data == NULL && rest.len > 0) {
        const char *comma = memchr(rest.data, ',', rest.len);
        size_t len = comma == NULL ? rest.len : (size_t)(comma - rest.data);
        struct slice word = text_trim((struct slice){ rest.data, len });
        if (word.len >= sizeof prefix - 1 && memcmp(word.data, prefix, sizeof prefix - 1) == 0) {
            *ret_token = (struct slice){ word.data + sizeof prefix - 1, word.len - (sizeof prefix - 1) };
            return true;
        }
        len += comma != NULL;
        rest = (struct slice){ rest.data + len, rest.len - len };
    }
    return false;
}

/* A parameter of the query by whose name people pass tokens. */
static bool target_has_token(struct slice target)
{
    static const char *const names[] = { "token", "access_token", "auth_token", "bearer", "authorization" };
    if (target.len == 0) return false;
    const char *at = memchr(target.data, '?', target.len), *end = target.data + target.len;
    while (at != NULL && ++at < end) {
        size_t len = 0;
        while (at + len < end && at[len] != '=' && at[len] != '&')
            len++;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            if (text_is_nocase((struct slice){ at, len }, names[i])) return true;
        at = memchr(at, '&', (size_t)(end - at));
    }
    return false;
}

static void refuse(struct access_grant *grant, const char *problem, const char *detail)
{
    *grant = (struct access_grant){ .public_only = true, .cors = grant->cors, .problem = problem, .detail = detail };
}

#define SHORT_OF(what, scope) \
    "this token may not " what ": its line in the server's token file would have to name the scope " scope

static void refuse_scope(struct access_grant *grant, unsigned missing)
{
    const char *detail = (missing & API_SCOPE_PUBLISH) != 0   ? SHORT_OF("publish", "publish")
                         : (missing & API_SCOPE_PRIVATE) != 0 ? SHORT_OF("see what is private", "private")
                         : (missing & API_SCOPE_APPEND) != 0  ? SHORT_OF("append", "append")
                                                              : SHORT_OF("read", "read");
    refuse(grant, "forbidden", detail);
    grant->short_token = true;
}

static void refuse_nobody(const struct config *config, unsigned missing, struct access_grant *grant)
{
    if (config->public_read && config->token_file == NULL)
        refuse(grant, "forbidden",
               "anybody may read what is public here, and do nothing else: more needs a token, and this server was "
               "started without --token-file");
    else if (config->token_file == NULL && (missing & ~API_SCOPES_BOTH) != 0)
        refuse(grant, "forbidden",
               "that needs a token whose line names the scope private or publish, and this server was started without "
               "--token-file");
    else
        refuse(grant, "token-needed", "send a token of the server's token file: Authorization: Bearer TOKEN");
}

static void grant_by_token(const struct access *access, const struct access_request *request,
                           struct access_grant *grant)
{
    const struct config *config = access->config;
    struct slice token;
    bool bearer = config->token_file != NULL && bearer_of(request, &token);
    unsigned scopes = bearer ? token_known(access, token)
                      : config->token_file == NULL && request->loopback && !config->public_read ? API_SCOPES_BOTH
                                                                                                : 0;
    bool unknown = bearer && scopes == 0;
    grant->public_only = (scopes & API_SCOPE_READ) == 0;
    if (config->public_read) scopes |= API_SCOPE_READ;
    grant->may_append = (scopes & API_SCOPE_APPEND) != 0;
    grant->may_private = (scopes & API_SCOPE_PRIVATE) != 0;
    grant->may_publish = (scopes & API_SCOPE_PUBLISH) != 0;
    unsigned missing = request->needs & ~scopes;
    if (request->needs == 0) return;
    if (unknown)
        refuse(grant, "token-needed", "that token is not in the server's token file");
    else if (missing != 0 && bearer)
        refuse_scope(grant, missing);
    else if (missing != 0)
        refuse_nobody(config, missing, grant);
}

void access_check(const struct access *access, const struct access_request *request, struct access_grant *ret_grant)
{
    struct access_grant grant = { 0 };
    bool listed = request->origin.data != NULL && origin_listed(access->config, request->origin);
    /* Without Host (HTTP/1.0) it is no browser, and browsers are what this rule is about. */
    if (request->host.data != NULL && !host_ours(access, request->host)) {
        refuse(&grant, "foreign-host",
               "the Host field names a host that this server does not go by: use localhost, or start it with "
               "--allow-host NAME");
    } else if (request->origin.data != NULL && !listed && !origin_same(request->origin, request->host)) {
        refuse(&grant, "foreign-origin",
               "pages of another origin may not ask here: start the server with --allow-origin ORIGIN to let them");
    } else if (target_has_token(request->target)) {
        grant.cors = listed;
        refuse(&grant, "token-in-url",
               "a token in a URL is kept by logs and histories: replace it, and send it as a header field, "
               "Authorization: Bearer TOKEN, or in a browser's WebSocket as the protocol bearer.TOKEN");
    } else {
        grant.cors = listed;
        grant_by_token(access, request, &grant);
    }
    grant.may_embed = grant.problem == NULL && request->origin.data == NULL && request->referer.data != NULL &&
                      origin_listed(access->config, referer_origin(request->referer));
    *ret_grant = grant;
}
