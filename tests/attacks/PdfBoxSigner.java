import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.InputStream;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.Security;
import java.security.cert.Certificate;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Calendar;
import java.util.Date;
import java.util.List;
import java.io.File;
import org.apache.pdfbox.cos.COSArray;
import org.apache.pdfbox.cos.COSDictionary;
import org.apache.pdfbox.cos.COSName;
import org.apache.pdfbox.pdmodel.PDDocument;
import org.apache.pdfbox.pdmodel.interactive.digitalsignature.ExternalSigningSupport;
import org.apache.pdfbox.pdmodel.interactive.digitalsignature.PDSignature;
import org.bouncycastle.asn1.DERSet;
import org.bouncycastle.asn1.cms.Attribute;
import org.bouncycastle.asn1.cms.AttributeTable;
import org.bouncycastle.asn1.cms.CMSAttributes;
import org.bouncycastle.asn1.cms.Time;
import org.bouncycastle.cert.jcajce.JcaCertStore;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.CMSSignedDataGenerator;
import org.bouncycastle.cms.DefaultSignedAttributeTableGenerator;
import org.bouncycastle.cms.jcajce.JcaSignerInfoGeneratorBuilder;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;

/** Signs PDFs as a program on PDFBox and BouncyCastle does. Arguments: P12, then IN OUT P for each file; P 0 does not certify. -Dsigned: Unix time. */
public final class PdfBoxSigner {
    public static void main(String[] arguments) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        KeyStore store = KeyStore.getInstance("PKCS12");
        try (InputStream in = new FileInputStream(arguments[0])) {
            store.load(in, "test".toCharArray());
        }
        String alias = store.aliases().nextElement();
        PrivateKey key = (PrivateKey) store.getKey(alias, "test".toCharArray());
        List<X509Certificate> chain = new ArrayList<>();
        for (Certificate one : store.getCertificateChain(alias)) {
            chain.add((X509Certificate) one);
        }
        for (int i = 1; i + 2 < arguments.length; i += 3) {
            sign(new File(arguments[i]), new File(arguments[i + 1]), Integer.parseInt(arguments[i + 2]), key, chain);
        }
    }

    private static void sign(File from, File to, int permission, PrivateKey key, List<X509Certificate> chain) throws Exception {
        try (PDDocument document = PDDocument.load(from); FileOutputStream out = new FileOutputStream(to)) {
            PDSignature signature = new PDSignature();
            signature.setFilter(PDSignature.FILTER_ADOBE_PPKLITE);
            signature.setSubFilter(PDSignature.SUBFILTER_ADBE_PKCS7_DETACHED);
            signature.setName("PDFBox");
            Date signed = new Date(Long.getLong("signed") * 1000);
            Calendar calendar = Calendar.getInstance();
            calendar.setTime(signed);
            signature.setSignDate(calendar);
            if (permission > 0) {
                certify(document, signature, permission);
            }
            document.addSignature(signature);
            ExternalSigningSupport signing = document.saveIncrementalForExternalSigning(out);
            byte[] content = signing.getContent().readAllBytes();
            CMSSignedDataGenerator generator = new CMSSignedDataGenerator();
            generator.addSignerInfoGenerator(
                new JcaSignerInfoGeneratorBuilder(new JcaDigestCalculatorProviderBuilder().build())
                    .setSignedAttributeGenerator(new DefaultSignedAttributeTableGenerator(
                        new AttributeTable(new Attribute(CMSAttributes.signingTime, new DERSet(new Time(signed))))))
                    .build(new JcaContentSignerBuilder("SHA256withECDSA").build(key), chain.get(0)));
            generator.addCertificates(new JcaCertStore(chain));
            signing.setSignature(generator.generate(new CMSProcessableByteArray(content), false).getEncoded());
        }
    }

    private static void certify(PDDocument document, PDSignature signature, int permission) {
        COSDictionary parameters = new COSDictionary();
        parameters.setItem(COSName.TYPE, COSName.getPDFName("TransformParams"));
        parameters.setInt(COSName.P, permission);
        parameters.setName(COSName.V, "1.2");
        COSDictionary reference = new COSDictionary();
        reference.setItem(COSName.TYPE, COSName.getPDFName("SigRef"));
        reference.setItem(COSName.getPDFName("TransformMethod"), COSName.getPDFName("DocMDP"));
        reference.setItem(COSName.getPDFName("TransformParams"), parameters);
        COSArray references = new COSArray();
        references.add(reference);
        signature.getCOSObject().setItem(COSName.getPDFName("Reference"), references);
        COSDictionary permissions = new COSDictionary();
        permissions.setItem(COSName.getPDFName("DocMDP"), signature.getCOSObject());
        document.getDocumentCatalog().getCOSObject().setItem(COSName.PERMS, permissions);
        document.getDocumentCatalog().getCOSObject().setNeedToBeUpdated(true);
    }
}
