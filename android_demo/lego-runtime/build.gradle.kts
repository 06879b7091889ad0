plugins {
    alias(libs.plugins.android.library)
    `maven-publish`
}

description = "LegoDNN for Java and Android: models whose blocks are switched while they run, within budgets"

android {
    namespace = "org.legodnn"
    compileSdk = libs.versions.compileSdk.get().toInt()
    defaultConfig.minSdk = libs.versions.minSdk.get().toInt()
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }
    // What needs Android's framework is apart from what runs on any JVM.
    sourceSets["main"].java.srcDir("src/android/java")
}

dependencies {
    api(libs.jspecify) // annotations of the library's own interface
    implementation(libs.litert)
    testImplementation(libs.junit)
}
