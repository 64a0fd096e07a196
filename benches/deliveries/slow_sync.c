/*
 * Makes a disk slow: a library that is loaded before a program (LD_PRELOAD) and lets each sync of a file or
 * directory below SLOW_SYNC_UNDER wait SLOW_SYNC_MS milliseconds before it happens. Everything else, the
 * catalogue's syncs among it, is as it was, so that what is measured is the program as people run it.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void wait_if_slow(int file)
{
    const char *under = getenv("SLOW_SYNC_UNDER"), *ms = getenv("SLOW_SYNC_MS");
    char link[64], path[PATH_MAX];
    if (under == NULL || ms == NULL)
        return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0 || strncmp(path, under, strlen(under)) != 0)
        return;
    struct timespec pause = { atol(ms) / 1000, atol(ms) % 1000 * 1000000L };
    nanosleep(&pause, NULL);
}

int fsync(int file)
{
    wait_if_slow(file);
    return (int)syscall(SYS_fsync, file);
}

int fdatasync(int file)
{
    wait_if_slow(file);
    return (int)syscall(SYS_fdatasync, file);
}
