#include "server/config_table.h"

#include <string.h>

#define EVERY \
    (CONFIG_SERVE | CONFIG_IMPORT | CONFIG_CAT | CONFIG_GET | CONFIG_VIEWS | CONFIG_VERIFY | CONFIG_HEALTHCHECK)
#define READERS (CONFIG_CAT | CONFIG_GET | CONFIG_VIEWS)

#define AT(member) .at = offsetof(struct config, member)
#define LIST_AT(member, most) \
    .kind = CONFIG_LIST, AT(member), .count_at = offsetof(struct config, member##_count), .count_max = (most)
#define TEXT(option, where_used, member, what, about) \
    .name = (option), .kind = CONFIG_TEXT, .commands = (where_used), AT(member), .argument = (what), .help = (about)
#define FLAG(option, where_used, member, about) \
    .name = (option), .kind = CONFIG_FLAG, .commands = (where_used), AT(member), .help = (about)
#define CHOICE(option, where_used, member, words, usual, about)                                         \
    .name = (option), .kind = CONFIG_CHOICE, .commands = (where_used), AT(member), .argument = (words), \
    .fallback = (usual), .help = (about)
#define LIMIT(option, member, usual, least, most, about)                                                \
    .name = (option), .kind = CONFIG_NUMBER, .commands = CONFIG_SERVE, AT(member), .fallback = (usual), \
    .min = (least), .max = (most), .argument = "N", .help = (about)
#define LIMIT_BYTES(option, member, usual, least, most, about) \
    LIMIT(option, member, usual, least, most, about), .bytes = true

#define KIB INT64_C(1024)
#define MIB (KIB * 1024)
#define DAY INT64_C(86400)

const struct config_option config_table[] = {
    /* where the records are */
    { TEXT("follow", CONFIG_SERVE, follow, "FILE", "read a log that another process writes; it is never written"),
      .where = true },
    { TEXT("data", CONFIG_SERVE | CONFIG_IMPORT | READERS, data, "DIR", "a folder of Sluice's own: DIR/log.offset"),
      .where = true },
    { TEXT("log", READERS, log, "FILE", "a log file; it is never written"), .where = true },
    { TEXT("views", CONFIG_SERVE | CONFIG_IMPORT | CONFIG_VIEWS, views, "DIR",
           "where views are kept (default: DIR/views of --data, else a folder in XDG_DATA_HOME)") },
    { TEXT("blobs", CONFIG_SERVE, blobs, "DIR",
           "where blobs are (default: DIR/blobs of --data, else blobs beside the followed log)") },
    { CHOICE("codec", CONFIG_SERVE | READERS | CONFIG_VERIFY, codec, "auto|32|48|53|v2", "auto",
             "offset size of the log; auto looks at the first record") },
    { CHOICE("accept", CONFIG_SERVE | CONFIG_IMPORT, accept, "ssb|any", "ssb",
             "what may be appended: valid messages only, or any JSON value") },
    { TEXT("config", EVERY, config, "FILE", "a JSON object of options: {\"listen\": [\"127.0.0.1:8990\"]}") },

    /* doors */
    { .name = "listen",
      .commands = CONFIG_SERVE | CONFIG_HEALTHCHECK,
      LIST_AT(listen, CONFIG_LISTEN_MAX),
      .fallback = "127.0.0.1:8990",
      .argument = "HOST:PORT|unix:PATH",
      .help = "where to listen; may be given several times; port 0 picks one" },
    { TEXT("port-file", CONFIG_SERVE | CONFIG_HEALTHCHECK, port_file, "FILE",
           "the port's number is written here once the server answers") },
    { TEXT("token-file", CONFIG_SERVE, token_file, "FILE", "one token a line; every request then needs one") },
    { FLAG("public", CONFIG_SERVE, public_read, "anybody may read public messages, nothing else") },
    { TEXT("secret", CONFIG_SERVE, secret, "FILE",
           "the owner's secret, as in ~/.ssb/secret; only he may read the file") },
    { FLAG("publish", CONFIG_SERVE, publish, "who has a token for it may publish in the owner's name") },
    { FLAG("sole-signer", CONFIG_SERVE, sole_signer,
           "nobody else signs with the secret, and the log holds all of its feed") },
    { TEXT("node-socket", CONFIG_SERVE, node_socket, "PATH",
           "with --follow --publish: the node's socket (default: beside the folder of its log)") },
    { .name = "allow-host",
      .commands = CONFIG_SERVE,
      LIST_AT(allow_host, CONFIG_NAMES_MAX),
      .argument = "NAME",
      .help = "a further host name that this server goes by" },
    { .name = "allow-origin",
      .commands = CONFIG_SERVE,
      LIST_AT(allow_origin, CONFIG_NAMES_MAX),
      .argument = "ORIGIN",
      .help = "pages of that origin may append and open sockets" },

    /* limits */
    { LIMIT_BYTES("body-max", body_max, "8M", KIB, 1024 * MIB, "bytes of a request body") },
    { LIMIT("batch-max", batch_max, "1000", 1, 100000, "messages in one POST /log") },
    { LIMIT_BYTES("target-max", target_max, "8K", 256, 64 * KIB, "bytes of a request target") },
    { LIMIT("connections-max", connections_max, "8192", 1, 1000000, "connections at once") },
    { LIMIT("connections-per-address", connections_per_address, "2048", 1, 1000000, "connections of one address") },
    { LIMIT("idle-timeout", idle_timeout, "60", 1, DAY, "seconds that a silent connection is kept") },
    { LIMIT("header-timeout", header_timeout, "10", 1, 600, "seconds that request line and headers may take") },
    { LIMIT("wait-timeout", wait_timeout, "10", 0, 3600, "seconds that a view may take to be fresh") },
    { LIMIT("query-timeout", query_timeout, "10", 0, 3600, "seconds that a query may look for its next row") },
    { LIMIT("node-timeout", node_timeout, "10", 1, 600, "seconds that the node may take to publish a message") },
    { LIMIT("limit-max", limit_max, "1000", 1, 100000, "rows of one JSON page") },
    { LIMIT("heartbeat", heartbeat, "15", 1, 3600, "seconds between signs of life on a quiet stream") },
    { LIMIT("streams-max", streams_max, "1024", 1, 100000, "live HTTP streams at once") },
    { LIMIT("sockets-max", sockets_max, "4096", 1, 1000000, "WebSocket clients at once") },
    { LIMIT("subscriptions-max", subscriptions_max, "64", 1, 4096, "subscriptions of one WebSocket client") },
    { LIMIT_BYTES("frame-max", frame_max, "64K", KIB, 16 * MIB, "bytes of a message from a WebSocket client") },
    { LIMIT("stall-timeout", stall_timeout, "30", 1, 3600, "seconds that a WebSocket client may take nothing") },
    { LIMIT_BYTES("buffered-max", buffered_max, "256M", MIB, 1024 * 1024 * MIB,
                  "bytes of bodies and answers in memory, of all clients") },
    { LIMIT_BYTES("blob-max", blob_max, "5M", 1, 1024 * MIB, "bytes of a blob that is added") },
    { LIMIT("blob-wait-max", blob_wait_max, "60", 0, 3600, "seconds that a request may wait for a blob") },
    { LIMIT("blob-waits-max", blob_waits_max, "256", 1, 100000, "requests that wait for blobs at once") },
    { LIMIT("http-threads", http_threads, "2", 1, 64, "threads that answer HTTP") },
    { LIMIT("query-threads", query_threads, "2", 1, 64, "threads for queries that take long") },
    { LIMIT("queries-max", queries_max, "256", 1, 100000, "queries that take long, at once; the others wait in line") },
    { LIMIT("queries-per-address", queries_per_address, "64", 1, 100000, "queries that take long, of one address") },

    /* commands */
    { FLAG("trust", CONFIG_IMPORT, trust, "do not check signatures") },
    { TEXT("gt", CONFIG_CAT, gt, "SEQ", "records after this one") },
    { TEXT("gte", CONFIG_CAT, gte, "SEQ", "records from this one on") },
    { TEXT("lt", CONFIG_CAT, lt, "SEQ", "records before this one") },
    { TEXT("lte", CONFIG_CAT, lte, "SEQ", "records up to this one") },
    { FLAG("reverse", CONFIG_CAT, reverse, "newest first") },
    { TEXT("limit", CONFIG_CAT, limit, "N", "stop after so many") },
    { FLAG("live", CONFIG_CAT, live, "go on with what is appended, until interrupted") },
    { TEXT("rebuild", CONFIG_VIEWS, rebuild, "NAME|all", "empty a view and build it anew, then exit") },
    { FLAG("repair", CONFIG_VERIFY, repair, "save what is readable of a damaged file into a new one beside it"),
      .line_only = true },
    { FLAG("dry-run", CONFIG_VERIFY, dry_run, "with --repair: say what would be done"), .line_only = true },
    { FLAG("yes", CONFIG_VERIFY, yes, "with --repair: do it"), .line_only = true },
    { TEXT("url", CONFIG_HEALTHCHECK, url, "URL", "http://HOST:PORT or unix:PATH (default: the first --listen)") },
    { FLAG("help", EVERY, help, "this text"), .line_only = true },
    { FLAG("version", EVERY, version, "the version"), .line_only = true },
    { .name = NULL },
};

_Static_assert(sizeof config_table / sizeof config_table[0] <= CONFIG_OPTIONS_MAX, "one byte of set_by for each");

const struct config_option *config_option_named(const char *name, size_t len)
{
    for (const struct config_option *option = config_table; option->name != NULL; option++) {
        if (strlen(option->name) == len && memcmp(option->name, name, len) == 0) return option;
    }
    return NULL;
}

const char *config_command_name(enum config_command command)
{
    switch (command) {
    case CONFIG_SERVE: return "serve";
    case CONFIG_IMPORT: return "import";
    case CONFIG_CAT: return "cat";
    case CONFIG_GET: return "get";
    case CONFIG_VIEWS: return "views";
    case CONFIG_VERIFY: return "verify";
    case CONFIG_HEALTHCHECK: return "healthcheck";
    }
    return "?";
}

void config_variable(const struct config_option *option, char out[CONFIG_VARIABLE_MAX])
{
    static const char prefix[] = "SLUICE_";
    size_t len = sizeof prefix - 1;
    memcpy(out, prefix, len);
    for (const char *c = option->name; *c != '\0' && len + 1 < CONFIG_VARIABLE_MAX; c++)
        out[len++] = *c == '-' ? '_' : (char)(*c - 'a' + 'A');
    out[len] = '\0';
}
