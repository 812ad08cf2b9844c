#!/bin/busybox sh
# The initial RAM disk of the cloud image: loads what its disk needs, and goes on with the system that is there.
/bin/busybox mkdir -p /proc /sys /root
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox --install -s /bin
export PATH=/bin
while read -r module; do insmod "/lib/$module" 2>/dev/null; done </lib/order

tries=0
until disk=$(findfs LABEL=root 2>/dev/null); do
    tries=$((tries + 1))
    if [ $tries -gt 300 ]; then echo "there is no file system with the label root"; exec sh; fi
    sleep 0.1
done
mount -t ext4 -o rw "$disk" /root || exec sh
for place in dev sys proc; do mount --move "/$place" "/root/$place"; done
exec switch_root /root /sbin/init
