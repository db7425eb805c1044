/* The sub-commands, with their help. */
#include <stddef.h>

#include "server/cli.h"
#include "server/cli_common.h"

#define EXIT_CODES                                                                                         \
    "Exit codes: 0 fine, 64 usage, 65 bad data, 66 no such file, 69 no such record, 74 input or output,\n" \
    "75 in use or stopped early, 77 permission.\n"

const struct cli_command cli_commands[] = {
    { "serve", CONFIG_SERVE, cli_serve,
      "serve (--follow FILE | --data DIR) [--views DIR] [--listen HOST:PORT | --listen unix:PATH]… [options]",
      "serve a log over HTTP and WebSocket",
      "--follow reads the log of a running SSB node, usually ~/.ssb/flume/log.offset, and never writes to it.\n"
      "--data keeps a log of its own, which messages can be appended to.\n"
      "SIGTERM or SIGINT ends what is under way and exits within 5 seconds; a second one exits at once.\n" },
    { "import", CONFIG_IMPORT, cli_import, "import --data DIR [--accept any] [--trust] FILE|-",
      "append messages from a file of one JSON value a line",
      "A line is a record {\"key\",\"value\",\"timestamp\"} or the message alone. Messages that are there already are\n"
      "skipped. The first bad line ends the import; what stands before it is kept.\n\n" EXIT_CODES },
    { "cat", CONFIG_CAT, cli_cat,
      "cat (--data DIR | --log FILE) [--gt|--gte SEQ] [--lt|--lte SEQ] [--reverse] [--limit N] [--live]",
      "print records, one JSON value a line", "A server may have the log open meanwhile.\n\n" EXIT_CODES },
    { "get", CONFIG_GET, cli_get, "get (--data DIR | --log FILE) SEQ|ID", "print one record, by seq or message id",
      EXIT_CODES },
    { "views", CONFIG_VIEWS, cli_views, "views (--data DIR | --log FILE [--views DIR]) [--rebuild NAME|all]",
      "show how far each view is, or build views anew",
      "--rebuild is refused while a server holds the views: use POST /views/NAME/rebuild there.\n\n" EXIT_CODES },
    { "verify", CONFIG_VERIFY, cli_verify, "verify [--codec 32|48|53|v2] [--repair --dry-run|--yes] FILE",
      "read a whole log file and report every damaged range", "Exit code 0 if all is well, 65 if not.\n" },
    { "healthcheck", CONFIG_HEALTHCHECK, cli_healthcheck, "healthcheck [--url URL | --listen … [--port-file FILE]]",
      "ask a server whether it is well", "Exit code 0 if it answers, 1 if not.\n" },
    { .name = NULL },
};
