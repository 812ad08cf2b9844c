#!/bin/sh
# What the guest sees of its machine, one line each.
echo "GUEST cpus $(nproc) mem_kib $(awk '/MemTotal/{print $2}' /proc/meminfo)"
for block in /sys/block/*; do
    if [ -e "$block/device" ]; then
        echo "GUEST disk ${block##*/} sectors $(cat "$block/size") ro $(cat "$block/ro") at $(readlink -f "$block/device")"
    fi
done
for nic in /sys/class/net/*; do
    if [ -e "$nic/device" ]; then
        name=${nic##*/}
        echo "GUEST nic $name mac $(cat "$nic/address") ip $(ip -4 -o addr show "$name" | awk '{print $4}')"
    fi
done
for card in /sys/class/drm/card*-*; do
    if [ -e "$card/status" ]; then
        echo "GUEST display ${card##*/} $(cat "$card/status") mode $(head -n 1 "$card/modes")"
    fi
done
echo "GUEST inputs $(cat /sys/class/input/event*/device/name | tr '\n' ',')"
