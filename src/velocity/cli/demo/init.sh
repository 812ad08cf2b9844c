#!/bin/busybox sh
# The first process of the demo guest.
/bin/busybox mkdir -p /proc /sys /dev /run /tmp /etc
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox --install -s /bin
export PATH=/bin HOME=/
exec </dev/console >/dev/console 2>&1
echo 1 >/proc/sys/kernel/sysrq
while read -r module; do insmod "/lib/$module" 2>/dev/null; done </lib/order

# The power button comes as an input event; whoever reads it may power off.
tries=0
while [ $tries -lt 15 ] && ! [ -e /dev/input/event0 ]; do sleep 0.1; tries=$((tries + 1)); done
for device in /sys/class/input/event*; do
    if [ "$(cat "$device/device/name")" = "Power Button" ]; then button=/dev/input/${device##*/}; fi
done
if [ -n "$button" ]; then
    (dd if="$button" bs=24 count=1 of=/dev/null 2>/dev/null; echo "GUEST poweroff"; sync; poweroff -f) &
fi

ip link set lo up
for nic in /sys/class/net/*; do
    if [ -e "$nic/device" ]; then
        ip link set "${nic##*/}" up
        udhcpc -q -n -t 8 -T 1 -i "${nic##*/}" -s /bin/dhcp >/dev/null 2>&1 &
    fi
done
report
echo "GUEST READY"
while :; do setsid cttyhack sh -i; done
