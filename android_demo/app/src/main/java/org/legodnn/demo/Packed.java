package org.legodnn.demo;

import android.content.Context;
import android.content.res.AssetManager;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.math.BigInteger;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.legodnn.Assets;
import org.legodnn.Profile;
import org.legodnn.Store;
import org.legodnn.StoreException;

/** What is packed in the APK: assets/stores/NAME, assets/profiles/NAME.profile.json, assets/digits.bin. */
final class Packed {
    private static final String PROFILE = ".profile.json";

    private final Context context;
    private final AssetManager assets;

    Packed(Context context) {
        this.context = context;
        this.assets = context.getAssets();
    }

    /** The models' names, in alphabetical order. */
    List<String> models() throws IOException {
        List<String> names = new ArrayList<>();
        for (String file : assets.list("profiles")) {
            if (file.endsWith(PROFILE)) {
                names.add(file.substring(0, file.length() - PROFILE.length()));
            }
        }
        Collections.sort(names);
        return names;
    }

    /**
     * A store, unpacked once. Its folder is named by the manifest's hash, so that an update of the app with another
     * store unpacks that one, and lets the old one go; one that was damaged since is unpacked again.
     */
    Store store(String name) throws IOException {
        File folders = new File(context.getNoBackupFilesDir(), "stores/" + name);
        File folder = new File(folders, sha256(bytes("stores/" + name + "/manifest.json")));
        File[] present = folders.listFiles();
        for (File other : present == null ? new File[0] : present) {
            if (!other.equals(folder)) {
                remove(other);
            }
        }
        if (folder.exists()) {
            try {
                return Store.open(folder);
            } catch (StoreException e) {
                remove(folder);
            }
        }
        Assets.unpack(assets, "stores/" + name, folder);
        return Store.open(folder);
    }

    /** The profile measured where the store was packed. */
    Profile profile(String name) throws IOException {
        return Profile.parse(text("profiles/" + name + PROFILE));
    }

    Digits digits() throws IOException {
        try (InputStream stream = assets.open("digits.bin")) {
            return Digits.read(stream);
        }
    }

    private String text(String path) throws IOException {
        return new String(bytes(path), "UTF-8");
    }

    private byte[] bytes(String path) throws IOException {
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        byte[] buffer = new byte[1 << 16];
        try (InputStream stream = assets.open(path)) {
            for (int read = stream.read(buffer); read >= 0; read = stream.read(buffer)) {
                content.write(buffer, 0, read);
            }
        }
        return content.toByteArray();
    }

    private static String sha256(byte[] content) {
        try {
            return String.format("%064x", new BigInteger(1, MessageDigest.getInstance("SHA-256").digest(content)));
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError(e);
        }
    }

    private static void remove(File file) throws IOException {
        File[] inside = file.listFiles();
        for (File entry : inside == null ? new File[0] : inside) {
            remove(entry);
        }
        if (!file.delete()) {
            throw new IOException("cannot remove " + file);
        }
    }
}
