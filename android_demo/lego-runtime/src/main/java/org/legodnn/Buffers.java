package org.legodnn;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Memory for the tensors between segments: one pool for each model, in which tensors that are never needed at the same
 * time share a place. A segment writes into the very buffer that the next one reads.
 */
final class Buffers {
    private static final int ALIGNMENT = 64;

    private Buffers() {}

    /**
     * A direct buffer in native byte order for every input and interface tensor, by name.
     *
     * @throws StoreException a tensor is too large for this device
     */
    static Map<String, ByteBuffer> allocate(StoreManifest manifest) {
        Map<String, Integer> sizes = new HashMap<>();
        for (TensorSpec spec : manifest.specs.values()) {
            sizes.put(spec.name, spec.bytes());
        }
        Map<String, Integer> places = layout(lifetimes(manifest), sizes);
        long total = 0;
        for (Map.Entry<String, Integer> place : places.entrySet()) {
            total = Math.max(total, (long) place.getValue() + sizes.get(place.getKey()));
        }
        if (total > Integer.MAX_VALUE) {
            throw new StoreException("the tensors of " + manifest.name + " are too large for this device");
        }
        ByteBuffer memory = ByteBuffer.allocateDirect((int) total);
        Map<String, ByteBuffer> buffers = new HashMap<>();
        for (Map.Entry<String, Integer> place : places.entrySet()) {
            memory.limit(place.getValue() + sizes.get(place.getKey()));
            memory.position(place.getValue());
            buffers.put(place.getKey(), memory.slice().order(ByteOrder.nativeOrder()));
            memory.clear();
        }
        return buffers;
    }

    /** For every tensor the numbers of the segments that write it (-1: the caller) and that read it last. */
    static Map<String, int[]> lifetimes(StoreManifest manifest) {
        Map<String, int[]> lives = new HashMap<>();
        for (InputSpec input : manifest.inputs) {
            lives.put(input.name, new int[] {-1, -1});
        }
        for (int i = 0; i < manifest.segments.size(); i++) {
            for (String name : manifest.segments.get(i).outputs) {
                lives.put(name, new int[] {i, i});
            }
            for (String name : manifest.segments.get(i).inputs) {
                lives.get(name)[1] = i;
            }
        }
        for (String name : manifest.outputs) {
            lives.get(name)[1] = manifest.segments.size();
        }
        return lives;
    }

    /**
     * Where each tensor lies: the largest first, each at the lowest free place.
     *
     * @param lives first and last moment of each tensor, both included
     * @param sizes in bytes
     * @return offsets in bytes, multiples of 64
     */
    static Map<String, Integer> layout(final Map<String, int[]> lives, final Map<String, Integer> sizes) {
        List<String> names = new ArrayList<>(sizes.keySet());
        Collections.sort(names, new Comparator<String>() {
            @Override
            public int compare(String a, String b) {
                int order = Integer.compare(sizes.get(b), sizes.get(a));
                order = order == 0 ? Integer.compare(lives.get(a)[0], lives.get(b)[0]) : order;
                order = order == 0 ? Integer.compare(lives.get(a)[1], lives.get(b)[1]) : order;
                return order == 0 ? a.compareTo(b) : order;
            }
        });
        Map<String, Integer> places = new HashMap<>();
        for (String name : names) {
            places.put(name, lowest(name, places, lives, sizes));
        }
        return places;
    }

    /** The lowest place where a tensor fits between those that are needed at the same time. */
    private static int lowest(
            String name, Map<String, Integer> places, Map<String, int[]> lives, Map<String, Integer> sizes) {
        List<long[]> taken = new ArrayList<>();
        int[] life = lives.get(name);
        for (Map.Entry<String, Integer> other : places.entrySet()) {
            int[] its = lives.get(other.getKey());
            if (its[0] <= life[1] && life[0] <= its[1]) {
                taken.add(new long[] {other.getValue(), other.getValue() + room(sizes.get(other.getKey()))});
            }
        }
        Collections.sort(taken, new Comparator<long[]>() {
            @Override
            public int compare(long[] a, long[] b) {
                return Long.compare(a[0], b[0]);
            }
        });
        long place = 0;
        for (long[] span : taken) {
            if (place + room(sizes.get(name)) <= span[0]) {
                break;
            }
            place = Math.max(place, span[1]);
        }
        if (place > Integer.MAX_VALUE) {
            throw new StoreException("tensor " + name + " finds no room on this device: " + Arrays.toString(life));
        }
        return (int) place;
    }

    private static long room(int size) {
        return ((long) size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
}
