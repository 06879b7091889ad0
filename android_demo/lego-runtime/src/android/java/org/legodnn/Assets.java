package org.legodnn;

import android.content.res.AssetManager;

import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.RandomAccessFile;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileLockInterruptionException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

import org.jspecify.annotations.Nullable;
import org.legodnn.internal.json.JsonException;

/**
 * Workloads and stores that are packed into an app. What is unpacked lies in folders that are named by a hash; nothing
 * else in the folder that the app gives for it is touched. Safe for several threads, and for several processes of the
 * app.
 */
public final class Assets {
    private static final String MANIFEST = "manifest.json";
    /** What is unpacked, and what an unpacking that was killed left behind. */
    private static final Pattern OURS = Pattern.compile("[0-9a-f]{64}(\\.tmp)?");
    /** What this process has opened, which may be in use. */
    private static final Set<File> OPENED = new HashSet<>();

    private Assets() {}

    /**
     * Open a store of the app's assets, which is unpacked once. An update of the app with another store unpacks that
     * one and removes the old one, and what an unpacking that was killed left behind. Opening checks what was unpacked
     * before: a damaged store is unpacked again.
     * For a worker thread.
     *
     * @param assets the app's
     * @param assetFolder the store's, such as "stores/faces"
     * @param versions where this store's folder is kept, such as
     *     {@code new File(context.getNoBackupFilesDir(), "stores/faces")}; no other store's
     * @throws StoreException the assets cannot be read, are no store, or the folder cannot be written or has another
     *     store that this process has opened
     */
    public static synchronized Store open(AssetManager assets, String assetFolder, File versions) {
        File folder = place(assets, assetFolder, versions);
        try (Closeable held = alone(versions)) {
            removeOthers(versions, Collections.singletonList(folder));
            return unpacked(assets, assetFolder, folder);
        } catch (IOException e) {
            throw failed(assetFolder, versions, e);
        }
    }

    /**
     * Read a workload of the app's assets, as {@code legodnn bundle} writes it, and open its stores, which are unpacked
     * once, as {@link #open} does.
     * For a worker thread.
     *
     * @param assets the app's
     * @param assetFile the workload's, such as "models/workload.json"; stores and profiles lie beside it
     * @param versions where its stores are kept, such as {@code new File(context.getNoBackupFilesDir(), "models")}; no
     *     other workload's
     * @throws WorkloadException it cannot be read, is damaged, makes no sense, or asks for what this library does
     *     not do
     * @throws StoreException a store cannot be read, is none, or the folder cannot be written or has another store that
     *     this process has opened
     * @throws ProfileException a profile is missing, damaged, or of another store
     */
    public static synchronized Workload workload(AssetManager assets, String assetFile, File versions) {
        String beside = assetFile.substring(0, assetFile.lastIndexOf('/') + 1);
        WorkloadDocument document;
        try {
            document = WorkloadDocument.parse(text(assets, assetFile), assetFile);
        } catch (IOException e) {
            throw new WorkloadException("cannot read the assets' " + assetFile + ": " + e.getMessage() + "; "
                    + WorkloadDocument.REMEDY, e);
        }
        Map<String, File> places = new HashMap<>();
        for (WorkloadEntry entry : document.models) {
            places.put(entry.store, place(assets, beside + entry.store, versions));
        }
        List<LegoModel> models = new ArrayList<>();
        try (Closeable held = alone(versions)) {
            removeOthers(versions, places.values());
            for (WorkloadEntry entry : document.models) {
                Store store = unpacked(assets, beside + entry.store, places.get(entry.store));
                models.add(entry.of(store, profile(assets, beside + entry.profile)));
            }
        } catch (IOException e) {
            throw failed(assetFile, versions, e);
        }
        return new Workload(models, document.budget, document.charge);
    }

    private static Profile profile(AssetManager assets, String assetFile) {
        try {
            return Profile.parse(text(assets, assetFile));
        } catch (IOException e) {
            throw new ProfileException("cannot read the assets' " + assetFile + ": " + e.getMessage() + "; "
                    + WorkloadDocument.REMEDY, e);
        }
    }

    private static String text(AssetManager assets, String assetFile) throws IOException {
        return Documents.utf8(content(assets, assetFile));
    }

    private static byte[] content(AssetManager assets, String assetFile) throws IOException {
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        try (InputStream in = assets.open(assetFile)) {
            copy(in, content);
        }
        return content.toByteArray();
    }

    /** Where a store of the assets is unpacked: in a folder that its manifest's hash names. */
    private static File place(AssetManager assets, String assetFolder, File versions) {
        try {
            byte[] manifest = content(assets, assetFolder + "/" + MANIFEST);
            return new File(versions, Documents.hex(Documents.sha256().digest(manifest)));
        } catch (IOException e) {
            throw new StoreException("cannot read the assets' " + assetFolder + ": " + e.getMessage()
                    + "; is it a store?", e);
        }
    }

    /** Keep other processes of the app from the folder until this is closed. */
    private static Closeable alone(File versions) throws IOException {
        if (!versions.mkdirs() && !versions.isDirectory()) {
            throw new IOException("cannot make the folder " + versions);
        }
        RandomAccessFile lock = new RandomAccessFile(new File(versions, ".lock"), "rw");
        try {
            lock.getChannel().lock();
        } catch (IOException e) {
            lock.close();
            throw e;
        }
        return lock; // closing it lets go of the lock
    }

    private static StoreException failed(String asset, File versions, IOException e) {
        String why = e instanceof FileLockInterruptionException || e instanceof ClosedByInterruptException
                ? "its thread was interrupted; open it again" : e.getMessage() + "; is the storage full?";
        return new StoreException("cannot unpack the assets' " + asset + " to " + versions + ": " + why, e);
    }

    /** Remove what lies beside stores: earlier versions, and what an unpacking that was killed left behind. */
    private static void removeOthers(File versions, Collection<File> kept) {
        File[] present = versions.listFiles();
        for (File other : present == null ? new File[0] : present) {
            if (!kept.contains(other) && OURS.matcher(other.getName()).matches()) {
                if (OPENED.contains(other.getAbsoluteFile())) {
                    throw new StoreException(other + " is in use; give every store, and every workload, a folder of its"
                            + " own to be unpacked to");
                }
                remove(other);
            }
        }
    }

    /** A store, opened where it was unpacked before or is now. */
    private static Store unpacked(AssetManager assets, String assetFolder, File folder) throws IOException {
        Store store = sound(folder);
        if (store == null) {
            remove(folder);
            unpack(assets, assetFolder, folder);
            store = Store.open(folder);
        }
        OPENED.add(folder.getAbsoluteFile());
        return store;
    }

    /** What was unpacked before; null if there is nothing, or it was damaged. */
    private static @Nullable Store sound(File folder) {
        try {
            return folder.isDirectory() ? Store.open(folder) : null;
        } catch (StoreException damaged) {
            return null;
        }
    }

    /** Copy a store to a folder that appears whole or not at all. */
    private static void unpack(AssetManager assets, String from, File to) throws IOException {
        File temporary = new File(to.getPath() + ".tmp");
        try {
            copyStore(assets, from, temporary);
            if (!temporary.renameTo(to)) {
                throw new IOException("cannot rename " + temporary);
            }
        } finally {
            remove(temporary); // where it was renamed there is nothing left
        }
    }

    // The manifest names all files; to ask the assets for them would take as long as to copy them.
    private static void copyStore(AssetManager assets, String from, File to) throws IOException {
        File manifest = new File(to, MANIFEST);
        copyFile(assets, from + "/" + MANIFEST, manifest);
        List<Segment> segments;
        try {
            segments = StoreManifest.parse(Documents.utf8(Documents.read(manifest))).segments;
        } catch (JsonException e) {
            throw new IOException("its " + MANIFEST + " is damaged: " + e.getMessage(), e);
        }
        for (Segment segment : segments) {
            for (Option option : segment.options) {
                copyFile(assets, from + "/" + option.file, new File(to, option.file));
            }
        }
    }

    private static void copyFile(AssetManager assets, String from, File to) throws IOException {
        File folder = to.getParentFile();
        if (!folder.mkdirs() && !folder.isDirectory()) {
            throw new IOException("cannot make the folder " + folder);
        }
        try (InputStream in = assets.open(from); FileOutputStream out = new FileOutputStream(to)) {
            copy(in, out);
            out.getFD().sync();
        }
    }

    private static void copy(InputStream in, OutputStream out) throws IOException {
        byte[] chunk = new byte[1 << 16];
        for (int n = in.read(chunk); n >= 0; n = in.read(chunk)) {
            out.write(chunk, 0, n);
        }
    }

    private static void remove(File file) {
        File[] inside = file.listFiles();
        if (inside != null) {
            for (File one : inside) {
                remove(one);
            }
        }
        file.delete();
    }
}
