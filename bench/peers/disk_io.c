/* Reads or writes a block device past the guest's own cache, and says how fast: `disk_io DEVICE WHAT`.

   `sequential`: all of it, in MiB a second. `read`, `write`: blocks of 4 KiB at random, by four at a time, in operations
   a second. `sync`: one such write after the other, each followed by fdatasync. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 1 << 20, BLOCK = 4096, AT_ONCE = 4 };
static const double SECONDS = 2.0;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

int main(int count, char **words) {
    if (count != 3) return 2;
    int fd = open(words[1], O_RDWR | O_DIRECT);
    if (fd < 0) fail(words[1]);
    off_t size = lseek(fd, 0, SEEK_END);
    char *memory = mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(memory, 'x', PIECE);
    double begun = now();
    if (!strcmp(words[2], "sequential")) {
        for (off_t at = 0; at + PIECE <= size; at += PIECE)
            if (pread(fd, memory, PIECE, at) != PIECE) fail("read");
        printf("RESULT %f\n", size / 1048576.0 / (now() - begun));
        return 0;
    }
    int reads = !strcmp(words[2], "read"), syncs = !strcmp(words[2], "sync");
    long *done = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int one = 0; one < (syncs ? 1 : AT_ONCE); one++) {
        if (fork()) continue;
        srandom(one + 1);
        while (now() - begun < SECONDS) {
            off_t at = (random() % (size / BLOCK)) * BLOCK;
            if ((reads ? pread(fd, memory, BLOCK, at) : pwrite(fd, memory, BLOCK, at)) != BLOCK) fail(words[2]);
            if (syncs && fdatasync(fd)) fail("fdatasync");
            done[one]++;
        }
        _exit(0);
    }
    while (wait(NULL) > 0) continue;
    printf("RESULT %f\n", (done[0] + done[1] + done[2] + done[3]) / (now() - begun));
    return 0;
}
