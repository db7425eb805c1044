/* The one program: `sluice COMMAND …`. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "server/cli.h"
#include "server/cli_common.h"

static void print_help(FILE *out)
{
    fputs("sluice: an SSB log over HTTP and WebSocket\n\nUsage: sluice COMMAND [options]\n\nCommands:\n", out);
    for (const struct cli_command *command = cli_commands; command->name != NULL; command++)
        fprintf(out, "  %-12s %s\n", command->name, command->summary);
    fputs("\n`sluice COMMAND --help` says more; `sluice --version` prints the version.\n\n"
          "To look at the log of the SSB node on this machine:\n"
          "  sluice serve --follow ~/.ssb/flume/log.offset\n",
          out);
}

static const struct cli_command *find_command(const char *name)
{
    for (const struct cli_command *command = cli_commands; command->name != NULL; command++) {
        if (strcmp(command->name, name) == 0) return command;
    }
    return NULL;
}

static int run(const char *word, int argc, char **argv)
{
    const struct cli_command *command = find_command(word);
    if (command != NULL) return command->run(argc - 2, argv + 2);
    if (strcmp(word, "--version") == 0) {
        cli_print_version();
        return EX_OK;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        print_help(stdout);
        return EX_OK;
    }
    if (word[0] == '\0')
        print_help(stderr);
    else
        fprintf(stderr, "sluice: unknown command %.100s; see `sluice --help`\n", word);
    return EX_USAGE;
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    return cli_end(word, run(word, argc, argv));
}
