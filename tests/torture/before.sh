#!/bin/sh
# Starts a command with a library preloaded before all that is preloaded already: before.sh LIBRARY COMMAND...
LD_PRELOAD="$1:$LD_PRELOAD"
export LD_PRELOAD
shift
exec "$@"
