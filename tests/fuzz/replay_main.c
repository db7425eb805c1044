/* Stands in for libFuzzer's main: runs the fuzzer's one function over every file of the folders given, so that the corpora and
 * the inputs that once crashed are part of `make test` without clang. A folder that is absent is empty. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) return -1;
    char *data = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&data, &size);
    char block[4096];
    for (size_t n; (n = fread(block, 1, sizeof block, file)) > 0;)
        fwrite(block, 1, n, memory);
    fclose(file);
    fclose(memory);
    /* a copy of exactly its size, so that the sanitizer sees a read past the end */
    uint8_t *exact = malloc(size > 0 ? size : 1);
    if (exact == NULL) abort();
    memcpy(exact, data, size);
    free(data);
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return 0;
}

static size_t replay_folder(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL) return 0;
    size_t files = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char name[4096];
        if (entry->d_name[0] == '.') continue;
        (void)snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (replay_file(name) == 0) files++;
    }
    closedir(folder);
    return files;
}

int main(int argc, char **argv)
{
    size_t files = 0;
    for (int i = 1; i < argc; i++)
        files += replay_folder(argv[i]);
    printf("%s: %zu inputs\n", argv[0], files);
    return files > 0 ? 0 : 1;
}
